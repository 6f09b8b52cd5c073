# The part of clients.sh about what interfaces have and machines show: its helpers are at hand, and a network that
# make_network() has made.
# shellcheck shell=bash disable=SC2154

plain=("${group[@]}" --name plain)
# Debian 12's az writes privateIpAddress where newer ones write privateIPAddress.
like_new='with_entries(.key |= sub("Ip"; "IP"))'

make_plain_vm() {
	does "a NIC of its own has no public address" '.NewNIC.ipConfigurations[0] | has("publicIPAddress") | not' \
		az network nic create "${group[@]}" --name many --vnet-name myVnet --subnet mySubnet
	does "a VM without a public address runs" '.powerState == "VM running" and .publicIpAddress == ""' \
		az vm create "${plain[@]}" --image UbuntuLTS --size Standard_DS2_v2 --admin-username azureuser \
		--generate-ssh-keys --nics many
}

# lead NIC NAME: makes NAME, its last configuration, the primary one, which its first one was.
lead() {
	command=(az network nic ip-config update "${group[@]}" --nic-name "$1" --name "$2" --make-primary)
	[ -z "$profile" ] || resource update networkInterfaces --name "$1" --set properties.ipConfigurations[0].properties.primary=false \
		properties.ipConfigurations[-1].properties.primary=true
}

give_addresses() {
	local config=("${group[@]}" --nic-name many)
	does "a second, static address is given while the VM runs" \
		"$like_new | "'.privateIPAddress == "192.168.1.77" and .privateIPAllocationMethod == "Static" and (.primary | not)' \
		az network nic ip-config create "${config[@]}" --name second --private-ip-address 192.168.1.77
	refuses "an address out of the subnet is refused" "does not belong to the range of subnet prefix 192.168.1.0/24" \
		az network nic ip-config create "${config[@]}" --name third --private-ip-address 192.168.2.77
	refuses "an address that is taken is refused" "taken already" \
		az network nic ip-config create "${config[@]}" --name third --private-ip-address 192.168.1.77
	does "a public address is made for the third" "" \
		az network public-ip create "${group[@]}" --name thirdIp --sku Standard --allocation-method Static
	does "a third, dynamic address has its own public one" "$like_new | "'.publicIPAddress.id | endswith("/thirdIp")' \
		az network nic ip-config create "${config[@]}" --name third --public-ip-address thirdIp
	lead many third
	does "another one becomes the primary one" '.primary or .ipConfigurations[0].name == "third"' "${command[@]}"
	does "it comes first" 'map(.name) | .[0] == "third" and length == 3' az network nic ip-config list "${config[@]}"
	refuses "the primary one is not taken away" "make another one primary first" \
		az network nic ip-config delete "${config[@]}" --name third
	command=(az network nic ip-config update "${config[@]}" --name second --private-ip-address "")
	[ -z "$profile" ] || resource update networkInterfaces --name many \
		--set properties.ipConfigurations[-1].properties.privateIPAllocationMethod=Dynamic
	does "a static address becomes dynamic, and stays" '.ipConfigurations[-1].properties // . |
		.privateIPAllocationMethod == "Dynamic" and .privateIPAddress == "192.168.1.77"' "${command[@]}"
	command=(az network nic update "${group[@]}" --name many --ip-forwarding true)
	[ -z "$profile" ] || resource update networkInterfaces --name many --set properties.enableIPForwarding=true
	does "another member of the NIC changes, and no configuration" \
		'.enableIPForwarding and (.ipConfigurations | map(.name) == ["third", "ipconfig1", "second"])' "${command[@]}"
	does "an address is taken away" "" az network nic ip-config delete "${config[@]}" --name second
	does "the others stay" 'map(.name) == ["third", "ipconfig1"]' az network nic ip-config list "${config[@]}"
}

give_ipv6() {
	local dual=("${group[@]}" --vnet-name dual) config=("${group[@]}" --nic-name six)
	does "a virtual network has both families" '.newVNet.subnets[0].addressPrefixes == ["10.8.1.0/24", "fd00:8:0:1::/64"]' \
		az network vnet create "${group[@]}" --name dual --address-prefixes 10.8.0.0/16 fd00:8::/48 \
		--subnet-name sub --subnet-prefixes 10.8.1.0/24 fd00:8:0:1::/64
	refuses "a subnet of IPv6 alone is refused" "needs an IPv4 prefix" \
		az network vnet subnet create "${dual[@]}" --name two --address-prefixes fd00:8:0:2::/64
	refuses "a subnet of IPv6 has one size" "is /64" \
		az network vnet subnet create "${dual[@]}" --name two --address-prefixes 10.8.2.0/24 fd00:8:0:2::/80
	does "a rule names prefixes of IPv6" '.sourceAddressPrefix == "fd00:8::/48"' \
		az network nsg rule create "${group[@]}" --nsg-name myNetworkSecurityGroup --name six --priority 200 \
		--source-address-prefixes fd00:8::/48 --destination-port-ranges 443 --access Allow
	refuses "a public address is not of IPv6" "public addresses are of IPv4 here" \
		az network public-ip create "${group[@]}" --name sixIp --version IPv6
	does "a NIC is made in the subnet" "" az network nic create "${group[@]}" --name six --vnet-name dual --subnet sub
	does "an address of IPv6 is given beside" "$like_new | "'.privateIPAddress == "fd00:8:0:1::4" and .privateIPAddressVersion == "IPv6"' \
		az network nic ip-config create "${config[@]}" --name v6 --private-ip-address-version IPv6 --vnet-name dual --subnet sub
	lead six v6
	refuses "it cannot be the primary one" "cannot be the primary one" "${command[@]}"
	command=(az network vnet subnet update "${dual[@]}" --name sub --address-prefixes 10.8.1.0/24)
	[ -z "$profile" ] || resource update virtualNetworks/dual/subnets --name sub --set 'properties.addressPrefixes=["10.8.1.0/24"]'
	refuses "a prefix in use stays" "addresses of fd00:8:0:1::/64 and cannot be moved" "${command[@]}"
	does "an address of IPv6 is taken away" "" az network nic ip-config delete "${config[@]}" --name v6
	command=(az network vnet subnet update "${dual[@]}" --name sub --address-prefixes 10.8.1.0/24)
	[ -z "$profile" ] || resource update virtualNetworks/dual/subnets --name sub --set 'properties.addressPrefixes=["10.8.1.0/24"]'
	does "then its prefix is, too" '.addressPrefix == "10.8.1.0/24"' "${command[@]}"
}

read_console() {
	refuses "a console log is read only where boot diagnostics are enabled" "Please enable boot diagnostics" \
		az vm boot-diagnostics get-boot-log "${plain[@]}"
	does "boot diagnostics are enabled" "" az vm boot-diagnostics enable "${plain[@]}"
	does "the VM says so" '.diagnosticsProfile.bootDiagnostics.enabled' az vm show "${plain[@]}"
	says "the console log is read" "." az vm boot-diagnostics get-boot-log "${plain[@]}"
	does "there is a URL of it" '.serialConsoleLogBlobUri | startswith("https://")' \
		az vm boot-diagnostics get-boot-log-uris "${plain[@]}"
	does "boot diagnostics are disabled" "" az vm boot-diagnostics disable "${plain[@]}"
	refuses "then there is no log" "Please enable boot diagnostics" az vm boot-diagnostics get-boot-log "${plain[@]}"
}

tag_things() {
	local id
	does "a VM that runs is tagged" '.tags.owner == "web"' az vm update "${plain[@]}" --set tags.owner=web
	id=$(jq -r .id "$work/out")
	does "tags are merged" '.properties.tags == {"owner": "web", "tier": "front"}' \
		az tag update --resource-id "$id" --operation Merge --tags tier=front
	does "a tag is deleted by its name" '.properties.tags == {"tier": "front"}' \
		az tag update --resource-id "$id" --operation Delete --tags owner=
	does "tags are listed" '.properties.tags.tier == "front"' az tag list --resource-id "$id"
	does "tags are replaced" '.properties.tags == {"env": "test"}' az tag create --resource-id "$id" --tags env=test
	does "the VM has them" '.tags == {"env": "test"}' az vm show "${plain[@]}"
	does "a group is tagged" '.properties.tags.team == "net"' \
		az tag create --resource-id "${id%/providers/*}" --tags team=net
	refuses "what is not there is not tagged" "was not found" az tag create --resource-id "${id%plain}none" --tags a=b
	does "resources are found by a tag" 'map(.name) == ["plain"]' az resource list --tag env=test
	does "all tags are deleted" "" az tag delete --resource-id "$id" --yes
}
