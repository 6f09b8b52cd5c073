# The part of clients.sh about scale sets: its helpers are at hand, and a network that make_network() has made.
# shellcheck shell=bash disable=SC2154

vmss=("${group[@]}" --name myvmss)
first_nic='virtualMachineProfile.networkProfile.networkInterfaceConfigurations[0]'

# write_set FILE: a template of a scale set with two instances in mySubnet.
write_set() {
	cat >"$1" <<-'EOF'
		{ "$schema": "https://schema.management.azure.com/schemas/2015-01-01/deploymentTemplate.json#",
		  "contentVersion": "1.0.0.0",
		  "parameters": { "key": { "type": "string" }, "mode": { "type": "string" }, "name": { "type": "string" } },
		  "resources": [{
		    "type": "Microsoft.Compute/virtualMachineScaleSets", "apiVersion": "2024-11-01",
		    "name": "[parameters('name')]", "location": "centralus",
		    "sku": { "name": "Standard_DS4_v2", "capacity": 2 },
		    "properties": {
		      "orchestrationMode": "[parameters('mode')]",
		      "platformFaultDomainCount": 1,
		      "upgradePolicy": { "mode": "manual" },
		      "virtualMachineProfile": {
		        "osProfile": { "computerNamePrefix": "web", "adminUsername": "azureuser", "linuxConfiguration": {
		          "disablePasswordAuthentication": true, "ssh": { "publicKeys": [
		            { "path": "/home/azureuser/.ssh/authorized_keys", "keyData": "[parameters('key')]" }] } } },
		        "storageProfile": { "imageReference": { "publisher": "Canonical", "offer": "UbuntuServer",
		          "sku": "18.04-LTS", "version": "latest" }, "osDisk": { "createOption": "FromImage" } },
		        "networkProfile": { "networkInterfaceConfigurations": [{ "name": "eth0", "properties": {
		          "primary": true, "ipConfigurations": [{ "name": "ip", "properties": { "subnet": {
		            "id": "[resourceId('Microsoft.Network/virtualNetworks/subnets', 'myVnet', 'mySubnet')]" } } }],
		          "networkSecurityGroup": {
		            "id": "[resourceId('Microsoft.Network/networkSecurityGroups', 'myNetworkSecurityGroup')]" }
		        } }] } } } }] }
	EOF
}

# deploy_set NAME MODE
deploy_set() {
	mkdir -p "$HOME/.ssh"
	[ -e "$HOME/.ssh/id_rsa.pub" ] || ssh-keygen -q -t rsa -N "" -f "$HOME/.ssh/id_rsa"
	does "a ${2,,} scale set is deployed" '.properties.provisioningState == "Succeeded"' \
		az deployment group create "${group[@]}" --name "$1" --template-file "$work/set.json" \
		--parameters "name=$1" "mode=$2" "key=$(cat "$HOME/.ssh/id_rsa.pub")"
}

# counts PROMISE STATE N: what `az vmss get-instance-view` says of myvmss.
counts() {
	does "$1" ".virtualMachine.statusesSummary | any(.code == \"PowerState/$2\" and .count == $3)" \
		az vmss get-instance-view "${vmss[@]}"
}

# The document's way to accelerate the instances of a scale set.
accelerate_scale_set() {
	write_set "$work/set.json"
	deploy_set myvmss Uniform
	does "a scale set is shown" '.sku.capacity == 2 and .upgradePolicy.mode == "Manual"' az vmss show "${vmss[@]}"
	does "instances are listed" 'map(.instanceId) == ["0", "1"] and all(.latestModelApplied)' \
		az vmss list-instances "${vmss[@]}"
	does "machines of a scale set are not among the others" 'all(.[]; .name | startswith("myvmss") | not)' \
		az vm list "${group[@]}"
	refuses "acceleration waits for all instances, and names those that are on" "not deallocated: myvmss_0, myvmss_1\\." \
		az vmss update "${vmss[@]}" --set "$first_nic.enableAcceleratedNetworking=true"
	does "a scale set is deallocated" "" az vmss deallocate "${vmss[@]}"
	counts "all of its instances are" deallocated 2
	does "acceleration is turned on in the model" ".$first_nic.enableAcceleratedNetworking" \
		az vmss update "${vmss[@]}" --set "$first_nic.enableAcceleratedNetworking=true"
	does "instances do not have it yet" 'all(.latestModelApplied | not)' az vmss list-instances "${vmss[@]}"
	does "the upgrade policy is set" '.upgradePolicy.mode == "Automatic"' \
		az vmss update "${vmss[@]}" --set 'upgradePolicy.mode="automatic"'
	does "a scale set is started" "" az vmss start "${vmss[@]}"
	counts "all of its instances run" running 2
	does "and are accelerated" "all(.latestModelApplied and
		(.networkProfileConfiguration.networkInterfaceConfigurations[0].enableAcceleratedNetworking))" \
		az vmss list-instances "${vmss[@]}"
	refuses "an accelerated model takes no size that does not support it" "does not support" \
		az vmss update "${vmss[@]}" --set sku.name=Standard_A8_v2
}

change_scale_set() {
	does "a scale set is scaled out" '.sku.capacity == 3' az vmss scale "${vmss[@]}" --new-capacity 3
	counts "there are as many instances" running 3
	run az vmss update "${vmss[@]}" --set upgradePolicy.mode=Manual
	does "a model gets another size" '.sku.name == "Standard_DS3_v2"' \
		az vmss update "${vmss[@]}" --set sku.name=Standard_DS3_v2
	does "one instance takes it" "" az vmss update-instances "${vmss[@]}" --instance-ids 1
	does "and no other" 'map(.latestModelApplied) == [false, true, false]' az vmss list-instances "${vmss[@]}"
	does "a rolling policy has the others take it" '.upgradePolicy.rollingUpgradePolicy.maxBatchInstancePercent == 50' \
		az vmss update "${vmss[@]}" --set 'upgradePolicy={"mode":"Rolling","rollingUpgradePolicy":{"maxBatchInstancePercent":50,
			"maxUnhealthyInstancePercent":50,"maxUnhealthyUpgradedInstancePercent":50,"pauseTimeBetweenBatches":"PT0S"}}'
	does "all have it then" 'all(.latestModelApplied)' az vmss list-instances "${vmss[@]}"
	does "and the upgrade is completed" '.runningStatus.code == "Completed" and .progress.successfulInstanceCount == 2' \
		az vmss rolling-upgrade get-latest "${vmss[@]}"
	does "an instance is restarted" "" az vmss restart "${vmss[@]}" --instance-ids 0
	does "an instance is stopped" "" az vmss stop "${vmss[@]}" --instance-ids 2
	counts "it says so" stopped 1
	does "an instance is deleted" "" az vmss delete-instances "${vmss[@]}" --instance-ids 1
	does "the others are left" 'map(.instanceId) == ["0", "2"]' az vmss list-instances "${vmss[@]}"
	does "and the capacity is theirs" '.sku.capacity == 2' az vmss show "${vmss[@]}"
	refuses "an instance that does not exist is not found" "no instance '7'" \
		az vmss restart "${vmss[@]}" --instance-ids 7
	does "instances are made anew" "" az vmss reimage "${vmss[@]}" "${anew[@]}"
	refuses "interfaces do not change under instances" "Scale it to 0 first" az vmss update "${vmss[@]}" --set \
		"$first_nic.name=eth1"
	does "a scale set is deleted" "" az vmss delete "${vmss[@]}"
}

# Newer clients make these where nothing is said.
# An upgrade whose host takes no instance at the new size.
stop_upgrade() {
	is_pretended || return 0
	local latest=(az vmss rolling-upgrade get-latest "${vmss[@]}")
	write_set "$work/plain.json"
	jq '.resources[0].tags = {"pretend-fault": "its disk is full", "pretend-fault-size": "Standard_DS3_v2"}' "$work/plain.json" \
		>"$work/set.json"
	deploy_set myvmss Uniform
	refuses "an upgrade stops at an instance that its host does not take, with that host's reason" \
		"rolling upgrade of scale set myvmss has stopped.*not healthy \\(myvmss_0\\), its policy allows 40 percent" \
		az vmss update "${vmss[@]}" --set sku.name=Standard_DS3_v2 'upgradePolicy={"mode":"Rolling","rollingUpgradePolicy":{
			"maxBatchInstancePercent":50,"maxUnhealthyInstancePercent":40,"maxUnhealthyUpgradedInstancePercent":40,
			"pauseTimeBetweenBatches":"PT0S"}}'
	does "and says that it has" '.runningStatus.code == "Faulted" and (.error.message | test("its policy allows 40 percent")) and
		(.progress | .failedInstanceCount == 1 and .pendingInstanceCount == 1 and .successfulInstanceCount == 0)' "${latest[@]}"
	does "the next instance keeps its model" 'map(.latestModelApplied)[1] | not' az vmss list-instances "${vmss[@]}"
	does "which instance is unhealthy is told with the reason" \
		'any(.statuses[]; (.code | startswith("ProvisioningState/failed")) and (.message | test("its disk is full")))' \
		az vmss get-instance-view "${vmss[@]}" --instance-id 0
	refuses "what has stopped is not cancelled" "no rolling upgrade .* could be cancelled" \
		az vmss rolling-upgrade cancel "${vmss[@]}"
	refuses "no other begins while more instances are unhealthy than its policy allows" \
		"1 of 2 instances are not healthy \\(myvmss_0\\), its policy allows 40 percent" \
		az vmss rolling-upgrade start "${vmss[@]}"
	does "a policy that allows it" '.sku.name == "Standard_DS4_v2"' az vmss update "${vmss[@]}" --set sku.name=Standard_DS4_v2 \
		upgradePolicy.rollingUpgradePolicy.maxUnhealthyInstancePercent=50
	does "has them take a model that their host takes" 'all(.latestModelApplied)' az vmss list-instances "${vmss[@]}"
	does "and is completed" '.runningStatus.code == "Completed"' "${latest[@]}"
	counts "all instances run again" running 2
	run az vmss delete "${vmss[@]}"
}

keep_flexible_set() {
	local name
	deploy_set flex Flexible
	name=$(run az vm list "${group[@]}" --query "[?starts_with(name, 'flex_')].name | [0]" -o tsv >/dev/null; cat "$work/out")
	does "an instance is a machine of the group" '.powerState == "VM running" and (.virtualMachineScaleSet.id | endswith("/flex"))' \
		az vm show -d "${group[@]}" --name "$name"
	does "machines of a set are listed by its name" "map(.name) | length == 2 and index(\"$name\")" \
		az vm list "${group[@]}" --vmss flex
	refuses "those of one that does not exist are not" "virtualMachineScaleSets/nosuch.* was not found" \
		az vm list "${group[@]}" --vmss nosuch
	does "and is deleted as one" "" az vm delete "${group[@]}" --name "$name" --yes
	does "which leaves the set with one" '.sku.capacity == 1' az vmss show "${group[@]}" --name flex
}


# A set as az makes it where nothing else is asked for, in the document's group: with a network, a load balancer, a NAT pool
# and a public address. It is named as the document has it.
printed=(--name myvmss --resource-group myrg)
balancer=(--resource-group myrg --lb-name myvmssLB)
plain_set=(--image UbuntuLTS --vm-sku Standard_DS4_v2 --instance-count 2 --admin-username azureuser --generate-ssh-keys
	--lb-sku Basic --accelerated-networking false --public-ip-per-vm)
uniform=(--orchestration-mode Uniform) anew=(--instance-ids 0 2)
[ -z "$profile" ] || uniform=() anew=(--instance-id 0) # it knows no other mode, and takes one at a time

make_scale_set() {
	run az group create --name myrg --location centralus
	does "a scale set is made with all that it needs" '.vmss.virtualMachineProfile // .VMSS.virtualMachineProfile |
		.networkProfile.networkInterfaceConfigurations[0].properties | (.enableAcceleratedNetworking | not) and
		(.ipConfigurations[0].properties | .loadBalancerBackendAddressPools and .loadBalancerInboundNatPools)' \
		az vmss create "${printed[@]}" "${plain_set[@]}" "${uniform[@]}"
	does "its parts are in the group" 'map(.name) | sort == ["myvmss", "myvmssLB", "myvmssLBPublicIP", "myvmssVNET"]' \
		az resource list --resource-group myrg
	says "scale sets are listed" "^myvmss +myrg +centralus .* 2 " az vmss list --resource-group myrg -o table
	does "each instance is reached by a port of the public address" \
		'keys == ["instance 0", "instance 1"] and (map(split(":")[1]) | sort == ["50000", "50001"])' \
		az vmss list-instance-connection-info "${printed[@]}"
	does "and has an address of its own" 'length == 2 and all(.ipAddress)' az vmss list-instance-public-ips "${printed[@]}"
	does "interfaces of instances are listed" 'map(.primary) == [true, true]' \
		az vmss nic list --vmss-name myvmss --resource-group myrg
	does "those of one, too" 'length == 1 and (.[0].virtualMachine.id | endswith("/virtualMachines/1"))' \
		az vmss nic list-vm-nics --vmss-name myvmss --resource-group myrg --instance-id 1
	does "a scale set can have none to 1000 instances of its size" '.[0] | .sku.name == "Standard_DS4_v2" and .capacity.maximum == 1000' \
		az vmss list-skus "${printed[@]}"
}

# The document's commands as they are printed, and what is refused on the way.
use_scale_set() {
	local on="virtualMachineProfile.networkProfile.networkInterfaceConfigurations[0].enableAcceleratedNetworking=true"
	refuses "acceleration cannot be turned on while instances run" "not deallocated: myvmss_0, myvmss_1\\." \
		az vmss update "${printed[@]}" --set "$on"
	run az vmss deallocate "${printed[@]}" --instance-ids 0
	refuses "nor while one does" "not deallocated: myvmss_1\\." az vmss update "${printed[@]}" --set "$on"
	does "all are deallocated" "" az vmss deallocate --name myvmss --resource-group myrg
	does "it is turned on" ".$first_nic.enableAcceleratedNetworking" \
		az vmss update --name myvmss --resource-group myrg --set "$on"
	does "the policy is automatic" '.upgradePolicy.mode == "Automatic"' \
		az vmss update --name myvmss --resource-group myrg --set upgradePolicy.mode="automatic"
	does "all are started" "" az vmss start --name myvmss --resource-group myrg
	does "all have it, and run" 'length == 2 and all(.latestModelApplied and (.networkProfileConfiguration
		.networkInterfaceConfigurations[0].enableAcceleratedNetworking))' az vmss list-instances "${printed[@]}"
	does "an instance is shown as it is" '.statuses | map(.code) == ["ProvisioningState/succeeded", "PowerState/running"]' \
		az vmss get-instance-view "${printed[@]}" --instance-id 1
	does "instances take a model that they have" "" az vmss update-instances "${printed[@]}" --instance-ids "*"
	does "it is scaled out" '.sku.capacity == 3' az vmss scale "${printed[@]}" --new-capacity 3
	does "the new one gets the next port" '."instance 2" | endswith(":50002")' \
		az vmss list-instance-connection-info "${printed[@]}"
	does "the oldest shall go first" '.scaleInPolicy.rules == ["OldestVM"]' \
		az vmss update "${printed[@]}" --set 'scaleInPolicy={"rules":["OldestVM"]}'
	does "it is scaled in" '.sku.capacity == 2' az vmss scale "${printed[@]}" --new-capacity 2
	does "and the oldest is gone" 'map(.instanceId) == ["1", "2"]' az vmss list-instances "${printed[@]}"
	does "an instance is deleted" "" az vmss delete-instances "${printed[@]}" --instance-ids 1
	does "its port is free again" 'keys == ["instance 2"]' az vmss list-instance-connection-info "${printed[@]}"
	does "all are restarted" "" az vmss restart "${printed[@]}"
	refuses "extensions are refused by name" "extensions" az vmss extension set --vmss-name myvmss --resource-group myrg \
		--publisher Microsoft.Azure.Extensions --name CustomScript --version 2.0 --settings '{"commandToExecute":"true"}'
}

# Load balancing for the set.
balance_scale_set() {
	local probe
	does "load balancers are listed" 'map(.name) == ["myvmssLB"]' az network lb list --resource-group myrg
	does "its NAT pool is listed" '.[0] | .backendPort == 22 and .frontendPortRangeStart == 50000' \
		az network lb inbound-nat-pool list "${balancer[@]}"
	does "ports of instances are NAT rules" 'map([.name, .frontendPort]) == [["myvmssLBNatPool.2", 50002]]' \
		az network lb inbound-nat-rule list "${balancer[@]}"
	does "a backend pool is made" '.name == "spare"' az network lb address-pool create "${balancer[@]}" --name spare
	does "backend pools are listed" 'map(.name) == ["myvmssLBBEPool", "spare"]' az network lb address-pool list "${balancer[@]}"
	does "a load balancer is shown with its members" '.backendAddressPools[0].backendIPConfigurations | length == 1' \
		az network lb show --resource-group myrg --name myvmssLB
	does "a probe is made" '.port == 80 and .requestPath == "/"' \
		az network lb probe create "${balancer[@]}" --name web --protocol Http --port 80 --path /
	probe=$(jq -r .id "$work/out")
	refuses "a probe that no rule has says nothing of instances" "probe web of load balancer myvmssLB, which asks no instance" \
		az vmss update "${printed[@]}" --set "$health={\"id\":\"$probe\"}"
	does "a rule is made" '.frontendPort == 80 and .backendPort == 8080' az network lb rule create "${balancer[@]}" --name web \
		--protocol Tcp --frontend-port 80 --backend-port 8080 --backend-pool-name myvmssLBBEPool --probe-name web
	refuses "a port that is taken is refused" "load-balancing rule web and load-balancing rule other have the same frontend port" \
		az network lb rule create "${balancer[@]}" --name other --protocol Tcp --frontend-port 80 --backend-port 81 \
		--backend-pool-name myvmssLBBEPool
	does "a rule is updated" '.loadDistribution == "SourceIP"' \
		az network lb rule update "${balancer[@]}" --name web --load-distribution SourceIP
	does "probes are listed" 'map(.name) == ["web"]' az network lb probe list "${balancer[@]}"
	does "an update keeps ports of instances" '.tags.tier == "front" and (.inboundNatRules | length == 1)' \
		az network lb update --resource-group myrg --name myvmssLB --set tags.tier=front
	does "the probe says who is healthy" ".$health.id | endswith(\"/probes/web\")" az vmss update "${printed[@]}" --set \
		"$health={\"id\":\"$probe\"}"
	does "an instance says whether it is" '.vmHealth.status.code == "HealthState/healthy"' \
		az vmss get-instance-view "${printed[@]}" --instance-id 2
	refuses "a rule's probe stays" "refers to a probe" az network lb probe delete "${balancer[@]}" --name web
	command=(az network lb delete --resource-group myrg --name myvmssLB)
	[ -z "$profile" ] || area=myrg resource delete loadBalancers --name myvmssLB
	refuses "a load balancer with members stays" "in use by" "${command[@]}"
}
health=virtualMachineProfile.networkProfile.healthProbe

renew_scale_set() {
	refuses "no rolling upgrade, none to cancel" "no rolling upgrade .* could be cancelled" \
		az vmss rolling-upgrade cancel "${printed[@]}"
	refuses "and none to be shown" "no rolling upgrade yet" az vmss rolling-upgrade get-latest "${printed[@]}"
	run az vmss update "${printed[@]}" --set upgradePolicy.mode=Manual
	does "a model gets another disk size" ".$disk == 64" az vmss update "${printed[@]}" --set "$disk=64"
	does "instances do not have it" 'map(.latestModelApplied) == [false]' az vmss list-instances "${printed[@]}"
	does "a rolling upgrade is started" "" az vmss rolling-upgrade start "${printed[@]}"
	does "it is completed" '.runningStatus.code == "Completed" and .progress.successfulInstanceCount == 1' \
		az vmss rolling-upgrade get-latest "${printed[@]}"
	does "instances have it" 'map(.latestModelApplied) == [true]' az vmss list-instances "${printed[@]}"
	does "all get new disks" "" az vmss reimage "${printed[@]}"
	does "the set is deleted" "" az vmss delete "${printed[@]}"
	run az group delete --name myrg --yes
}
disk=virtualMachineProfile.storageProfile.osDisk.diskSizeGb

# What newer clients make by themselves: flexible, behind a Standard load balancer with a NAT rule for its pool.
make_flexible_set() {
	[ -z "$profile" ] || { point ok "a scale set is flexible # SKIP az vmss create: profile $profile has uniform ones alone"; return; }
	run az group create --name flexible --location centralus
	does "a scale set is flexible where nothing is said" '.VMSS.orchestrationMode == "Flexible"' \
		az vmss create --name flex --resource-group flexible --image UbuntuLTS --vm-sku Standard_DS4_v2 --instance-count 2 \
		--admin-username azureuser --generate-ssh-keys
	does "its NAT rule is for a pool" '.[0] | .frontendPortRangeStart == 50000 and (.backendAddressPool.id | endswith("/flexLBBEPool"))' \
		az network lb inbound-nat-rule list --resource-group flexible --lb-name flexLB
	does "and each member has its port" '.[0].loadBalancerBackendAddresses | map(.inboundNatRulesPortMapping[0].frontendPort) == [50000, 50001]' \
		az network lb address-pool list --resource-group flexible --lb-name flexLB
	does "its machines are the group's" 'length == 2 and all(.[]; .powerState == "VM running")' az vm list -d --resource-group flexible
	refuses "acceleration of a flexible set waits for all of its machines" "not deallocated: flex_.*, flex_" \
		az vmss update --name flex --resource-group flexible --set "$first_nic.enableAcceleratedNetworking=true"
	does "a flexible set is deallocated" "" az vmss deallocate --name flex --resource-group flexible
	does "then it changes in the model" ".$first_nic.enableAcceleratedNetworking" \
		az vmss update --name flex --resource-group flexible --set "$first_nic.enableAcceleratedNetworking=true"
	does "its machines are told" "" az vmss update-instances --name flex --resource-group flexible --instance-ids "*"
	does "and have it" 'length == 2 and all(.latestModelApplied)' az vmss list-instances --name flex --resource-group flexible
	does "and started" "" az vmss start --name flex --resource-group flexible
	does "it is scaled in" '.sku.capacity == 1' az vmss scale --name flex --resource-group flexible --new-capacity 1
	does "one machine is left" 'length == 1' az vm list --resource-group flexible
	does "it gets a new disk" "" az vm reimage --resource-group flexible --name "$(jq -r '.[0].name' "$work/out")"
	does "a group with a set is deleted" "" az group delete --name flexible --yes
}
