# Templates as users have them. Read by clients.sh.

to_templates() {
	to=(--resource-group real)
	run az group create --name real --location westus
	ssh-keygen -q -t rsa -N '' -f "$work/key" <<<y >"$work/out" 2>&1
	key=(--parameters "adminPublicKey=$(<"$work/key.pub")")
}

deploy_real_templates() {
	local to key owner=()
	to_templates
	does "a template of a machine is deployed" \
		'.properties.outputs | .place.value == "westus" and .accelerated.value and .tags.value["made-by"] == "template" and (.ssh.value | startswith("ssh azureuser@203."))' \
		az deployment group create "${to[@]}" --template-file "$here/templates/machine.json" "${key[@]}" --parameters vmName=web
	does "its machine runs, with a rule of its own" '.powerState == "VM running" and .tags.label != null' az vm show -d "${to[@]}" --name web
	refuses "a size that the template does not allow is refused" 'allowed are .*Standard_DS4_v2' \
		az deployment group validate "${to[@]}" --template-file "$here/templates/machine.json" "${key[@]}" --parameters vmSize=Standard_B1s
	does "two machines of a set are reached by ports of their own" '.properties.outputs.ssh.value | length == 2 and (.[1] | test("-p 50002 azureuser@203"))' \
		az deployment group create "${to[@]}" --template-file "$here/templates/pair.json" "${key[@]}"
	does "they are in the set" 'length == 2' az vm availability-set show "${to[@]}" --name pair-set --query virtualMachines
	does "each has its address" '.ipConfigurations[0].properties.privateIPAddress == "10.2.1.11"' az resource show "${to[@]}" \
		--resource-type Microsoft.Network/networkInterfaces --name pair-nic-1 --query properties
	does "a scale set comes with its load balancer" '.properties.outputs.capacity.value == 2' \
		az deployment group create "${to[@]}" --template-file "$here/templates/scale.json" "${key[@]}"
	does "it has its instances" 'length == 2' az vmss list-instances "${to[@]}" --name scale
	does "deployments inside of one see what their scope says" \
		'.properties.outputs | .who.value == ["outer", "inner"] and .from.value == "outer"' \
		az deployment group create "${to[@]}" --template-file "$here/templates/nested.json"
	does "rules, routes and addresses of both families come by loops" \
		'.properties.outputs | .door.value == "none" and .ports.value == ["0:web=443", "1:db=5432"] and .addresses.value == ["10.4.1.4 fd00:4:0:1::4", "10.4.1.5 fd00:4:0:1::5"]' \
		az deployment group create "${to[@]}" --template-file "$here/templates/policy.json"
	does "a rule names the groups" '.securityRules[1].properties.destinationApplicationSecurityGroups[0].id | endswith("asg-db")' \
		az resource show "${to[@]}" --resource-type Microsoft.Network/networkSecurityGroups --name policy-nsg --query properties
	# az 2.45 asks for what may be null.
	[ -z "$profile" ] || owner=(owner=nobody)
	run az network vnet create "${to[@]}" --name there --address-prefix 10.5.0.0/16
	does "what bicep makes is deployed" \
		'.properties.outputs | .addresses.value == ["10.5.1.4", "10.5.2.4"] and .second.value == "bicep-1" and (.group.value | endswith("bicep-group")) and .maybe.value == null' \
		az deployment group create "${to[@]}" --template-file "$here/templates/bicep.json" --parameters network=there "${owner[@]}"
	does "and its resources have what existed" '.space == "10.5.0.0/16" and .owner == "nobody"' az resource show "${to[@]}" \
		--resource-type Microsoft.Network/networkInterfaces --name bicep-1 --query tags
}

refuse_templates() {
	local to=(--resource-group real)
	run az group create --name real --location westus
	refuses "a group that is not there is told" "ResourceGroupNotFound.*nosuch" \
		az deployment group create --resource-group nosuch --template-file "$here/templates/linked.json"
	refuses "a link inside of a template is not followed" 'templateLink: links to templates are not followed.*inline' \
		az deployment group create "${to[@]}" --template-file "$here/templates/linked.json"
	refuses "a template of a subscription says what to do" "subscriptionDeploymentTemplate.*az group create" \
		az deployment group create "${to[@]}" --template-file "$here/templates/subscription.json"
	refuses "a subscription is not deployed to" "Only resource groups can be deployed to" \
		az deployment sub create --location westus --template-file "$here/templates/subscription.json"
}

# A deployment that runs until somebody ends it.
cancel_template() {
	local to key it
	to_templates
	it=("${to[@]}" --name rolling)
	local from=("${it[@]}" --template-file "$here/templates/rolling.json" "${key[@]}")
	run az deployment group create "${from[@]}"
	does "a deployment that takes long is begun" "" az deployment group create "${from[@]}" --parameters diskSizeGB=40 --no-wait
	does "it runs" '. == "Running"' az deployment group show "${it[@]}" --query properties.provisioningState
	refuses "another one of its name is refused while it does" "DeploymentActive.*cancel it.*another name" \
		az deployment group create "${from[@]}"
	refuses "and a check says so" "DeploymentActive.*'rolling'" az deployment group validate "${from[@]}"
	does "under another name it would be taken" '.properties.provisioningState == "Succeeded"' \
		az deployment group validate "${from[@]}" --name 'rolling(1)'
	refuses "nor is it deleted" "cancel it before" az deployment group delete "${it[@]}"
	does "it still runs" '. == "Running"' az deployment group show "${it[@]}" --query properties.provisioningState
	does "it is cancelled" "" az deployment group cancel "${it[@]}"
	does "so it ends" "" az deployment group wait "${it[@]}" --custom "properties.provisioningState=='Canceled'" --interval 1 --timeout 60
	does "and is deleted" "" az deployment group delete "${it[@]}"
}

# What would change, before it does.
foretell_templates() {
	local to key
	to_templates
	says "what would be made is said" "Resource changes: 5 to create" \
		az deployment group what-if "${to[@]}" --template-file "$here/templates/machine.json" "${key[@]}" --parameters vmName=web
	does "and nothing is made" 'length == 0' az resource list "${to[@]}"
	run az deployment group create "${to[@]}" --name first --template-file "$here/templates/machine.json" "${key[@]}" --parameters vmName=web label=one
	does "what is there already does not change" '[.changes[].changeType] | unique == ["NoChange"]' \
		az deployment group what-if "${to[@]}" --template-file "$here/templates/machine.json" "${key[@]}" --parameters vmName=web label=one --no-pretty-print
	says "without change it is deployed without asking" '"provisioningState": "Succeeded"' \
		az deployment group create "${to[@]}" --name again --template-file "$here/templates/machine.json" "${key[@]}" --parameters vmName=web label=one \
		--confirm-with-what-if --proceed-if-no-change
	does "one changed tag is one change" \
		'[.changes[] | select(.changeType != "NoChange")] | length == 1 and .[0].delta == [{path: "tags.label", propertyChangeType: "Modify", before: "one", after: "two", children: null}]' \
		az deployment group what-if "${to[@]}" --template-file "$here/templates/machine.json" "${key[@]}" --parameters vmName=web label=two --no-pretty-print
	says "it is printed" 'tags.label: *"one" => "two"' \
		az deployment group what-if "${to[@]}" --template-file "$here/templates/machine.json" "${key[@]}" --parameters vmName=web label=two
	refuses "a refusal is foretold" 'networkInterfaces/web-nic|OperationNotAllowed' \
		az deployment group what-if "${to[@]}" --template-file "$here/templates/machine.json" "${key[@]}" --parameters vmName=web label=one accelerated=false
	says "Complete mode says what would go" "5 to delete" \
		az deployment group what-if "${to[@]}" --mode Complete --template-file "$here/templates/nested.json"
	says "Incremental mode leaves it alone" "2 to create, 5 to ignore" az deployment group what-if "${to[@]}" --template-file "$here/templates/nested.json"
	does "without their contents, changes are named" '.changes | length == 7 and all(.before == null and .after == null)' \
		az deployment group what-if "${to[@]}" --template-file "$here/templates/nested.json" --result-format ResourceIdOnly --no-pretty-print
	refuses "a mistake is found at its place" 'in resources\[0\]\.location: column 35: the function .nosuch' \
		az deployment group what-if "${to[@]}" --template-file "$here/templates/mistake.json"
}

export_templates() {
	local to key
	to_templates
	run az deployment group create "${to[@]}" --template-file "$here/templates/pair.json" "${key[@]}"
	does "a group is exported as a template" '(.resources | length == 9) and (.resources[] | select(.name == "pair-1") | .dependsOn | length == 2)' \
		az group export --name real
	cp "$work/out" "$work/exported.json"
	does "deploying that would change nothing" '[.changes[].changeType] | unique == ["NoChange"]' \
		az deployment group what-if "${to[@]}" --mode Complete --template-file "$work/exported.json" --no-pretty-print
}

forget_templates() {
	run az group delete --name real --yes
}
