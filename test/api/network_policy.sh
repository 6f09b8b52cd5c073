# Application security groups, rules with lists and tags, groups of subnets, route tables, and what is in effect of all
# that: a part of clients.sh, by which it is read.

policy=(--resource-group policy)
rule=(az network nsg rule create "${policy[@]}" --nsg-name rules --access Allow --protocol Tcp)

make_policy_network() {
	does "a group for policies is made" "" az group create --name policy --location centralus
	run az network vnet create "${policy[@]}" --name net --address-prefix 10.1.0.0/16 --subnet-name sub --subnet-prefix 10.1.1.0/24
	run az network vnet create "${policy[@]}" --name other --address-prefix 10.2.0.0/16 --subnet-name sub --subnet-prefix 10.2.1.0/24
	run az network nsg create "${policy[@]}" --name rules
}

name_applications() {
	local nic=(--nic-name web1 --name ipconfig1)
	does "an application security group is made" '.provisioningState == "Succeeded" and .name == "web"' \
		az network asg create "${policy[@]}" --name web --tags tier=front
	run az network asg create "${policy[@]}" --name data
	run az network asg create "${policy[@]}" --name spare
	does "it is listed" 'map(.name) == ["data", "spare", "web"]' az network asg list "${policy[@]}"
	does "its tags change" '.tags.tier == "back"' az network asg update "${policy[@]}" --name web --set tags.tier=back
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
	does "and put into others" '[.applicationSecurityGroups[].id | split("/") | last] == ["web", "spare"]' \
		az network nic ip-config update "${policy[@]}" "${nic[@]}" --application-security-groups web spare
	refuses "members are of one virtual network" "must be in one virtual network" \
		az network nic create "${policy[@]}" --name stranger --vnet-name other --subnet sub --application-security-groups web
	refuses "those of one rule's groups, too" "different virtual networks" \
		az network nic create "${policy[@]}" --name stranger --vnet-name other --subnet sub --application-security-groups data
	refuses "what has members stays" "web1" az network asg delete "${policy[@]}" --name spare
	does "members leave" '[.applicationSecurityGroups[].id | split("/") | last] == ["web"]' \
		az network nic ip-config update "${policy[@]}" "${nic[@]}" --application-security-groups web
	does "what nothing refers to goes" "" az network asg delete "${policy[@]}" --name spare
	refuses "what a rule names stays" "network security group rules" az network asg delete "${policy[@]}" --name data
}

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
	does "a subnet gets a network security group" '.networkSecurityGroup.id | endswith("/rules")' \
		az network vnet subnet update "${policy[@]}" --vnet-name net --name sub --network-security-group rules
	refuses "which stays while the subnet has it" "virtual network net" az network nsg delete "${policy[@]}" --name rules
}

route_packets() {
	local route=(az network route-table route create "${policy[@]}" --route-table-name table)
	does "a route table is made" '.provisioningState == "Succeeded" and .routes == []' \
		az network route-table create "${policy[@]}" --name table
	does "a route leads to an appliance" '.nextHopIpAddress == "10.1.1.9"' \
		"${route[@]}" --name all --address-prefix 0.0.0.0/0 --next-hop-type VirtualAppliance --next-hop-ip-address 10.1.1.9
	does "a route leads nowhere" '.nextHopType == "None"' \
		"${route[@]}" --name dark --address-prefix 10.8.0.0/16 --next-hop-type None
	does "a route leads within the network" '.nextHopType == "VnetLocal"' \
		"${route[@]}" --name near --address-prefix 10.1.2.0/24 --next-hop-type VnetLocal
	does "a route leads outside" '.nextHopType == "Internet"' \
		"${route[@]}" --name far --address-prefix 198.18.0.0/15 --next-hop-type Internet
	refuses "there are no virtual network gateways" "gateways are not supported" \
		"${route[@]}" --name gate --address-prefix 10.7.0.0/16 --next-hop-type VirtualNetworkGateway
	refuses "an appliance has an address" "does not say which" \
		"${route[@]}" --name bad --address-prefix 10.7.0.0/16 --next-hop-type VirtualAppliance
	refuses "and nothing else has one" "only a route to a virtual appliance" \
		"${route[@]}" --name bad --address-prefix 10.7.0.0/16 --next-hop-type None --next-hop-ip-address 10.1.1.9
	refuses "a prefix has one route" "conflicts with route dark" \
		"${route[@]}" --name bad --address-prefix 10.8.0.0/16 --next-hop-type Internet
	does "a subnet gets a route table" '.routeTable.id | endswith("/table")' \
		az network vnet subnet update "${policy[@]}" --vnet-name net --name sub --route-table table
	refuses "an appliance is in the network that is to use it" "in no subnet" \
		"${route[@]}" --name bad --address-prefix 10.7.0.0/16 --next-hop-type VirtualAppliance --next-hop-ip-address 10.9.9.9
	refuses "a table in use stays" "virtual network net" az network route-table delete "${policy[@]}" --name table
	does "routes are listed" 'map(.name) == ["all", "dark", "near", "far"]' \
		az network route-table route list "${policy[@]}" --route-table-name table
	does "a route is deleted" "" az network route-table route delete "${policy[@]}" --route-table-name table --name near
}

see_effects() {
	refuses "nothing is in effect on an interface that is not attached" "not attached to a virtual machine" \
		az network nic list-effective-nsg "${policy[@]}" --name web1
	refuses "neither rules nor routes" "not attached to a virtual machine" \
		az network nic show-effective-route-table "${policy[@]}" --name web1
	run az vm create "${policy[@]}" --name web1 --image UbuntuLTS --size Standard_DS2_v2 --nics web1 --admin-username azureuser \
		--generate-ssh-keys
	does "the rules of a running machine's interface are those of its subnet" \
		'.value | length == 1 and (.[0].association.subnet.id | endswith("/sub"))' \
		az network nic list-effective-nsg "${policy[@]}" --name web1
	does "application security groups are their members in them" \
		'.value[0].effectiveSecurityRules[] | select(.name == "securityRules/web-data") | .expandedSourceAddressPrefix == ["10.1.1.4/32"]' \
		az network nic list-effective-nsg "${policy[@]}" --name web1
	does "its routes are the table's, before those that every subnet has" \
		'.value | map(select(.addressPrefix[0] == "0.0.0.0/0") | [.source, .state, .nextHopType]) ==
		[["Default", "Invalid", "Internet"], ["User", "Active", "VirtualAppliance"]]' \
		az network nic show-effective-route-table "${policy[@]}" --name web1
	says "people can read them" "User +Active +0.0.0.0/0 +VirtualAppliance +10.1.1.9" \
		az network nic show-effective-route-table "${policy[@]}" --name web1 --output table
	does "a subnet loses its group and its table" '.networkSecurityGroup == null and .routeTable == null' \
		az network vnet subnet update "${policy[@]}" --vnet-name net --name sub --network-security-group null --route-table null
	does "then there are no rules" '.value == []' az network nic list-effective-nsg "${policy[@]}" --name web1
	does "and a table may go" "" az network route-table delete "${policy[@]}" --name table
	run az vm deallocate "${policy[@]}" --name web1
	refuses "nor is anything in effect once the machine is off" "not running" \
		az network nic show-effective-route-table "${policy[@]}" --name web1
	does "a group for policies goes with all that is in it" "" az group delete --name policy --yes
}

check_policies() {
	make_policy_network
	name_applications
	list_prefixes
	route_packets
	see_effects
}
