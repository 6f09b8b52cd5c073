# Application security groups, rules with lists and tags, groups of subnets, route tables, and what is in effect of all
# that: a part of clients.sh, by which it is read. Where its az cannot run a command, `az resource` asks for the same.
# shellcheck shell=bash disable=SC2154,SC2034

policy=(--resource-group policy)
rule=(az network nsg rule create "${policy[@]}" --nsg-name rules --access Allow --protocol Tcp)

# application VERB NAME ARGUMENTS...: about an application security group. Sets $command, as those below.
application() {
	local area=policy properties=()
	command=(az network asg "$1" "${policy[@]}" --name "$2" "${@:3}")
	[ "$1" != create ] || properties=(--location centralus --properties '{}')
	[ -z "$profile" ] || resource "$1" applicationSecurityGroups --name "$2" "${properties[@]}" "${@:3}"
}

# join NAME...: makes web1 a member of these application security groups, and no others.
join() {
	local area=policy ids='' name
	command=(az network nic ip-config update "${policy[@]}" --nic-name web1 --name ipconfig1 --application-security-groups "$@")
	[ -n "$profile" ] || return 0
	for name; do
		ids+=",{\"id\":\"$scope/Microsoft.Network/applicationSecurityGroups/$name\"}"
	done
	resource update networkInterfaces --name web1 \
		--set "properties.ipConfigurations[0].properties.applicationSecurityGroups=[${ids#,}]"
}

# furnish OPTION MEMBER TYPE NAME|null: gives the subnet a network security group or a route table.
furnish() {
	local area=policy value=null
	command=(az network vnet subnet update "${policy[@]}" --vnet-name net --name sub "$1" "$4")
	[ "$4" = null ] || value="{\"id\":\"$scope/Microsoft.Network/$3/$4\"}"
	[ -z "$profile" ] || resource update virtualNetworks/net/subnets --name sub --set "properties.$2=$value"
}
furnish_group() { furnish --network-security-group networkSecurityGroup networkSecurityGroups "$1"; }
furnish_table() { furnish --route-table routeTable routeTables "$1"; }

# table VERB ARGUMENTS...: about the route table.
table() {
	local area=policy properties=()
	command=(az network route-table "$1" "${policy[@]}" --name table)
	[ "$1" != create ] || properties=(--location centralus --properties '{}')
	[ -z "$profile" ] || resource "$1" routeTables --name table "${properties[@]}"
}

# route NAME PREFIX TYPE [ADDRESS]: makes one in the table.
route() {
	local area=policy address=''
	command=(az network route-table route create "${policy[@]}" --route-table-name table --name "$1" --address-prefix "$2"
		--next-hop-type "$3")
	[ -z "${4:-}" ] || command+=(--next-hop-ip-address "$4") address=",\"nextHopIpAddress\":\"$4\""
	[ -z "$profile" ] || resource create routeTables/table/routes --name "$1" \
		--properties "{\"addressPrefix\":\"$2\",\"nextHopType\":\"$3\"$address}"
}

# effective list-effective-nsg|show-effective-route-table: what is in effect on web1.
effective() {
	local action=effectiveNetworkSecurityGroups
	command=(az network nic "$1" "${policy[@]}" --name web1)
	[ -n "$profile" ] || return 0
	[ "$1" = list-effective-nsg ] || action=effectiveRouteTable
	command=(az rest --method post --url "$scope/Microsoft.Network/networkInterfaces/web1/$action?api-version=2018-11-01")
}

make_policy_network() {
	does "a group for policies is made" "" az group create --name policy --location centralus
	scope=$(jq -r .id "$work/out")/providers
	run az network vnet create "${policy[@]}" --name net --address-prefix 10.1.0.0/16 --subnet-name sub --subnet-prefix 10.1.1.0/24
	run az network vnet create "${policy[@]}" --name other --address-prefix 10.2.0.0/16 --subnet-name sub --subnet-prefix 10.2.1.0/24
	run az network nsg create "${policy[@]}" --name rules
}

name_applications() {
	application create web
	does "an application security group is made" '.provisioningState == "Succeeded" and .name == "web"' "${command[@]}"
	application create data
	run "${command[@]}"
	application create spare
	run "${command[@]}"
	does "it is listed" 'map(.name) == ["data", "spare", "web"]' az network asg list "${policy[@]}"
	application update web --set tags.tier=back
	does "its tags change" '.tags.tier == "back"' "${command[@]}"
	does "a rule names application security groups" \
		'(.sourceApplicationSecurityGroups[0].id | endswith("/web")) and .sourceAddressPrefixes == []' \
		"${rule[@]}" --name web-data --priority 200 --source-asgs web --destination-asgs data --destination-port-ranges 5432
	refuses "a rule names none that is not there" "create it first" \
		"${rule[@]}" --name lost --priority 201 --source-asgs nosuch
	refuses "nor addresses beside one" "only one of both" \
		"${rule[@]}" --name both --priority 201 --source-asgs web --source-address-prefixes 10.0.0.0/8 10.9.0.0/16
	does "an interface is made in an application security group" \
		'.NewNIC.ipConfigurations[0].applicationSecurityGroups[0].id | endswith("/web")' \
		az network nic create "${policy[@]}" --name web1 --vnet-name net --subnet sub --application-security-groups web
	join web spare
	does "and put into others" "$members == [\"web\", \"spare\"]" "${command[@]}"
	refuses "members are of one virtual network" "must be in one virtual network" \
		az network nic create "${policy[@]}" --name stranger --vnet-name other --subnet sub --application-security-groups web
	refuses "those of one rule's groups, too" "different virtual networks" \
		az network nic create "${policy[@]}" --name stranger --vnet-name other --subnet sub --application-security-groups data
	application delete spare
	refuses "what has members stays" "web1" "${command[@]}"
	join web
	does "members leave" "$members == [\"web\"]" "${command[@]}"
	application delete spare
	does "what nothing refers to goes" "" "${command[@]}"
	application delete data
	refuses "what a rule names stays" "network security group rules" "${command[@]}"
}
members='[(.ipConfigurations[0].properties // .).applicationSecurityGroups[].id | split("/") | last]'

list_prefixes() {
	does "a rule has lists of prefixes and ports" \
		'.sourceAddressPrefixes == ["10.9.0.0/16", "10.8.1.1"] and .destinationPortRanges == ["80", "8000-8999"]' \
		"${rule[@]}" --name lists --priority 300 --source-address-prefixes 10.9.0.0/16 10.8.1.1 \
		--destination-port-ranges 80 8000-8999
	does "a service tag is one of them" '.sourceAddressPrefixes == ["AzureLoadBalancer", "VirtualNetwork"]' \
		"${rule[@]}" --name tags --priority 301 --source-address-prefixes AzureLoadBalancer virtualnetwork \
		--destination-address-prefixes VirtualNetwork --destination-port-ranges "*"
	does "a list grows" '.sourceAddressPrefixes | length == 3' az network nsg rule update "${policy[@]}" --nsg-name rules \
		--name lists --add sourceAddressPrefixes 10.7.0.0/16
	refuses "a tag that is not known is refused" "Storage" \
		"${rule[@]}" --name bad --priority 302 --source-address-prefixes 10.9.0.0/16 Storage
	refuses "a prefix with bits behind its length is refused" "10.9.0.1/16" \
		"${rule[@]}" --name bad --priority 302 --source-address-prefixes 10.9.0.1/16
	refuses "a range that ends before it begins is refused" "9000-8000" \
		"${rule[@]}" --name bad --priority 302 --destination-port-ranges 80 9000-8000
	furnish_group rules
	does "a subnet gets a network security group" '.networkSecurityGroup.id | endswith("/rules")' "${command[@]}"
	refuses "which stays while the subnet has it" "virtual network net" az network nsg delete "${policy[@]}" --name rules
}

route_packets() {
	table create
	does "a route table is made" '.provisioningState == "Succeeded" and .routes == []' "${command[@]}"
	route all 0.0.0.0/0 VirtualAppliance 10.1.1.9
	does "a route leads to an appliance" '.nextHopIpAddress == "10.1.1.9"' "${command[@]}"
	route dark 10.8.0.0/16 None
	does "a route leads nowhere" '.nextHopType == "None"' "${command[@]}"
	route near 10.1.2.0/24 VnetLocal
	does "a route leads within the network" '.nextHopType == "VnetLocal"' "${command[@]}"
	route far 198.18.0.0/15 Internet
	does "a route leads outside" '.nextHopType == "Internet"' "${command[@]}"
	route gate 10.7.0.0/16 VirtualNetworkGateway
	refuses "there are no virtual network gateways" "gateways are not supported" "${command[@]}"
	route bad 10.7.0.0/16 VirtualAppliance
	refuses "an appliance has an address" "does not say which" "${command[@]}"
	route bad 10.7.0.0/16 None 10.1.1.9
	refuses "and nothing else has one" "only a route to a virtual appliance" "${command[@]}"
	route bad 10.8.0.0/16 Internet
	refuses "a prefix has one route" "conflicts with route dark" "${command[@]}"
	furnish_table table
	does "a subnet gets a route table" '.routeTable.id | endswith("/table")' "${command[@]}"
	route bad 10.7.0.0/16 VirtualAppliance 10.9.9.9
	refuses "an appliance is in the network that is to use it" "in no subnet" "${command[@]}"
	table delete
	refuses "a table in use stays" "virtual network net" "${command[@]}"
	does "routes are listed" 'map(.name) == ["all", "dark", "near", "far"]' \
		az network route-table route list "${policy[@]}" --route-table-name table
	command=(az network route-table route delete "${policy[@]}" --route-table-name table --name near)
	[ -z "$profile" ] || area=policy resource delete routeTables/table/routes --name near
	does "a route is deleted" "" "${command[@]}"
}

see_effects() {
	effective list-effective-nsg
	refuses "nothing is in effect on an interface that is not attached" "not attached to a virtual machine" "${command[@]}"
	effective show-effective-route-table
	refuses "neither rules nor routes" "not attached to a virtual machine" "${command[@]}"
	run az vm create "${policy[@]}" --name web1 --image UbuntuLTS --size Standard_DS2_v2 --nics web1 --admin-username azureuser \
		--generate-ssh-keys
	effective list-effective-nsg
	does "the rules of a running machine's interface are those of its subnet" \
		'.value | length == 1 and (.[0].association.subnet.id | endswith("/sub"))' "${command[@]}"
	does "application security groups are their members in them" \
		'.value[0].effectiveSecurityRules[] | select(.name == "securityRules/web-data") | .expandedSourceAddressPrefix == ["10.1.1.4/32"]' \
		"${command[@]}"
	effective show-effective-route-table
	does "its routes are the table's, before those that every subnet has" \
		'.value | map(select(.addressPrefix[0] == "0.0.0.0/0") | [.source, .state, .nextHopType]) ==
		[["Default", "Invalid", "Internet"], ["User", "Active", "VirtualAppliance"]]' "${command[@]}"
	says "people can read them" "User +Active +0.0.0.0/0 +VirtualAppliance +10.1.1.9" \
		az network nic show-effective-route-table "${policy[@]}" --name web1 --output table
	furnish_group null
	does "a subnet loses its group" '.networkSecurityGroup == null' "${command[@]}"
	furnish_table null
	does "and its table" '.routeTable == null' "${command[@]}"
	effective list-effective-nsg
	does "then there are no rules" '.value == []' "${command[@]}"
	table delete
	does "and a table may go" "" "${command[@]}"
	run az vm deallocate "${policy[@]}" --name web1
	effective show-effective-route-table
	refuses "nor is anything in effect once the machine is off" "not running" "${command[@]}"
	does "a group for policies goes with all that is in it" "" az group delete --name policy --yes
}

check_policies() {
	make_policy_network
	name_applications
	list_prefixes
	route_packets
	see_effects
}
