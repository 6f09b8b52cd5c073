# The part of clients.sh about internal load balancers: its helpers are at hand, and a network that make_network() has made.
# Public ones are in scale_sets.sh.
# shellcheck shell=bash disable=SC2154

internal_balancer() {
	local lb=("${group[@]}" --lb-name inner)
	does "an internal load balancer has an address of its subnet" \
		'.loadBalancer.frontendIPConfigurations[0].properties | .privateIPAddress == "192.168.1.20" and .privateIPAllocationMethod == "Static"' \
		az network lb create "${group[@]}" --name inner --sku Standard --vnet-name myVnet --subnet mySubnet \
		--private-ip-address 192.168.1.20 --frontend-ip-name front --backend-pool-name pool
	does "it has rules as any other" '.frontendPort == 80 and .backendPort == 8080' \
		az network lb rule create "${lb[@]}" --name web --protocol Tcp --frontend-port 80 --backend-port 8080 \
		--frontend-ip-name front --backend-pool-name pool
	does "a second front end gets a free address" "$like_new | "'.privateIPAllocationMethod == "Dynamic" and (.privateIPAddress | startswith("192.168.1."))' \
		az network lb frontend-ip create "${lb[@]}" --name more --vnet-name myVnet --subnet mySubnet
	refuses "an address that is taken is refused" "taken already" \
		az network lb frontend-ip create "${lb[@]}" --name third --vnet-name myVnet --subnet mySubnet \
		--private-ip-address 192.168.1.20
	refuses "a public front end beside internal ones is refused" "put them into load balancers of their own" \
		az network lb frontend-ip create "${lb[@]}" --name public --public-ip-address myPublicIp
	does "a NIC joins its pool" '.loadBalancerBackendAddressPools[0].id | endswith("/loadBalancers/inner/backendAddressPools/pool")' \
		az network nic ip-config address-pool add "${lb[@]}" --address-pool pool --nic-name myNic --ip-config-name ipconfig1
	command=(az network lb delete "${group[@]}" --name inner)
	[ -z "$profile" ] || resource delete loadBalancers --name inner
	refuses "with a member it stays" "network interface myNic" "${command[@]}"
	does "the NIC leaves" "" \
		az network nic ip-config address-pool remove "${lb[@]}" --address-pool pool --nic-name myNic --ip-config-name ipconfig1
	does "it is deleted" "" "${command[@]}"
}
