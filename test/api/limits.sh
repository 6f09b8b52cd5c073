# The part of clients.sh about what there is a limit to: what sizes take, how long lists get, what a subscription may have;
# and about who did what. Its helpers are at hand.
# shellcheck shell=bash disable=SC2154

limits=(--resource-group limits)

# sized NAME SIZE NIC...: makes a machine of that size with these interfaces.
sized() {
	command=(az vm create "${limits[@]}" --name "$1" --image UbuntuLTS --size "$2" --admin-username azureuser
		--generate-ssh-keys --nics "${@:3}")
}

# Two vCPUs or more; four or more where two of them share a core.
choose_size() {
	run az network vnet create "${limits[@]}" --name net --address-prefix 10.3.0.0/16 --subnet-name sub --subnet-prefix 10.3.0.0/20
	run az network nic create "${limits[@]}" --name fast --vnet-name net --subnet sub --accelerated-networking true
	run az network nic create "${limits[@]}" --name plain --vnet-name net --subnet sub
	local size
	for size in Standard_DS1_v2 Standard_F1 Standard_D2_v3 Standard_F2s_v2 Standard_A8_v2; do
		sized small "$size" fast
		refuses "an accelerated interface is refused to $size" "$size .*does not support" "${command[@]}"
	done
	sized small Standard_D2_v3 plain
	does "which takes a plain one" '.powerState == "VM running"' "${command[@]}"
	sized two Standard_F2 fast
	does "two vCPUs are enough" '.powerState == "VM running"' "${command[@]}"
	run az vm delete "${limits[@]}" --name two --yes
	sized four Standard_F4s_v2 fast
	does "and four that share cores" '.powerState == "VM running"' "${command[@]}"
	run az vm delete "${limits[@]}" --name four --yes
	run az network nic create "${limits[@]}" --name extra --vnet-name net --subnet sub
	sized many Standard_NC6 fast extra
	refuses "a machine has no more interfaces than its size takes" "takes 1 at most" "${command[@]}"
	refuses "nor one that another machine has" "ResourceInUse" az vm create "${limits[@]}" --name other --image UbuntuLTS \
		--size Standard_DS2_v2 --admin-username azureuser --generate-ssh-keys --nics plain
}

refuse_classic() {
	cat >"$work/classic.json" <<-'EOF'
		{ "$schema": "https://schema.management.azure.com/schemas/2015-01-01/deploymentTemplate.json#",
		  "contentVersion": "1.0.0.0", "resources": [{ "type": "Microsoft.ClassicCompute/virtualMachines",
		    "apiVersion": "2016-11-01", "name": "old", "location": "centralus", "properties": {} }] }
	EOF
	refuses "a classic virtual machine is refused by name in a template" "Microsoft.ClassicCompute/virtualMachines.*classic virtual machines" \
		az deployment group create "${limits[@]}" --name classic --template-file "$work/classic.json"
	refuses "and by itself" "Microsoft.ClassicCompute/virtualMachines.*classic virtual machines" \
		az resource create "${limits[@]}" --name old --resource-type Microsoft.ClassicCompute/virtualMachines \
		--api-version 2016-11-01 --properties '{}'
}

# 120 is more than a page of a list has.
follow_pages() {
	cat >"$work/many.json" <<-'EOF'
		{ "$schema": "https://schema.management.azure.com/schemas/2015-01-01/deploymentTemplate.json#",
		  "contentVersion": "1.0.0.0", "resources": [{ "type": "Microsoft.Network/networkSecurityGroups",
		    "apiVersion": "2018-11-01", "name": "[concat('many', copyIndex())]", "location": "centralus",
		    "copy": { "name": "groups", "count": 120 }, "tags": { "of": "[string(mod(copyIndex(), 2))]" } }] }
	EOF
	does "a loop makes 120 groups" '.properties.provisioningState == "Succeeded"' \
		az deployment group create "${limits[@]}" --name many --template-file "$work/many.json"
	does "a list of more than a page is whole" 'length == 120 and (map(.name) | unique | length == 120)' \
		az network nsg list "${limits[@]}"
	does "so is one of all resources that a filter lets pass" 'length == 60 and all(.tags.of == "1")' \
		az resource list --tag of=1
	does "a page has as many as are asked for, and leads to the next" '(.value | length == 2) and (.nextLink | contains("skiptoken"))' \
		az rest --method get --url "$(jq -r '.[0].id | split("/resourceGroups")[0]' "$work/out")/resources?\$top=2&api-version=2019-10-01"
	refuses "a filter that is not known is refused, and not ignored" "filter" az rest --method get \
		--url "$(jq -r '.value[0].id | split("/resourceGroups")[0]' "$work/out")/resources?\$filter=color%20eq%20'red'&api-version=2019-10-01"
}

# quota NAME NUMBER|null: limits what the subscription may have.
quota() { run az rest --method put --url "$url/sluice/v1/quotas" --body "{\"$1\": $2}"; }

# used NAME NUMBER: how many it may have beyond what it has.
used() { jq -r ".quotas[] | select(.name == \"$1\") | .used + $2" "$work/out"; }

keep_quotas() {
	run az rest --method get --url "$url/sluice/v1/quotas"
	local cores=$(used cores 3) addresses=$(used public-addresses 1) functions=$(used virtual-functions 0)
	quota cores "$cores" && quota public-addresses "$addresses" && quota virtual-functions "$functions"
	does "a subscription's cores are limited" ".[] | select(.name.value == \"cores\") | (.limit | tonumber) == $cores" \
		az vm list-usage --location centralus
	does "and its addresses" "any(.name.value == \"PublicIPAddresses\" and (.limit | tonumber) == $addresses)" \
		az network list-usages --location centralus
	sized big Standard_F4 extra
	refuses "a machine of more cores is refused, with the limit that it would need" "QuotaExceeded.*$((cores + 1))" "${command[@]}"
	sized big Standard_F2 extra
	does "one of fewer is made" '.powerState == "VM running"' "${command[@]}"
	does "the last public address is given" "" az network public-ip create "${limits[@]}" --name last
	refuses "none is behind it" "QuotaExceeded" az network public-ip create "${limits[@]}" --name none
	refuses "nor a function" "QuotaExceeded" az network nic create "${limits[@]}" --name faster --vnet-name net --subnet sub \
		--accelerated-networking true
	quota public-addresses null && quota cores null && quota virtual-functions null
	does "without a limit there is one more" "" az network public-ip create "${limits[@]}" --name none
}

look_back() {
	does "who asked for what was refused is on record" \
		'.records | any(.result == "refused" and .code == "QuotaExceeded" and (.what | contains("/networkInterfaces/faster")) and .who)' \
		az rest --method get --url "$url/sluice/v1/audit?result=refused"
	does "and so is what was done" '.records | any(.command == "network public-ip create" and (.what | endswith("/publicIPAddresses/none")))' \
		az rest --method get --url "$url/sluice/v1/audit?what=publicIPAddresses/none"
	refuses "a record cannot be changed" "." az rest --method delete --url "$url/sluice/v1/audit"
}

check_limits() {
	does "a group for limits is made" "" az group create --name limits --location centralus
	choose_size
	refuse_classic
	follow_pages
	keep_quotas
	look_back
	does "a group of more than a page goes" "" az group delete --name limits --yes
}
