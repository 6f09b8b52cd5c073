#!/bin/bash
# Drives a running cloud with a real az, as its users do, and checks each answer. Prints TAP; every command is shown
# with what it answered. Works on a controller alone and on a whole `sluice up`; leaves no resource behind.
#
#   test/api/clients.sh [--az PROGRAM] [--profile NAME] [--only "PART..."] STATE-FOLDER
#
# STATE-FOLDER holds ca.pem and principal.json, as `sluice up --state` writes them. PROGRAM is dist/az by default.
# NAME is a profile of az: Debian 12's 2.45 needs 2020-09-01-hybrid, and cannot run some commands then (cannot() has
# them): the same is asked by `az resource` where something else needs it. PARTs are functions of this file and of those
# that it reads, which are run behind log_in: for a look at one, or its record (record.py).
set -uo pipefail
shopt -s extglob

here=$(cd "$(dirname "$0")" && pwd)
az=$here/../../dist/az profile='' only=''
while [ $# -gt 1 ]; do
	case $1 in
	--az) az=$2 ;;
	--profile) profile=$2 ;;
	--only) only=$2 ;;
	*) echo "clients.sh: unknown option $1" >&2; exit 2 ;;
	esac
	shift 2
done
[ $# = 1 ] || { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
state=$1

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Nothing of the user's is touched.
export HOME=$work/home AZURE_CONFIG_DIR=$work/azure REQUESTS_CA_BUNDLE=$state/ca.pem
export PYTHONWARNINGS=ignore AZURE_CORE_COLLECT_TELEMETRY=no AZURE_CORE_SURVEY_MESSAGE=no AZURE_CORE_NO_COLOR=yes
mkdir -p "$HOME" "$AZURE_CONFIG_DIR"
principal() { jq -er ".$1" "$state/principal.json"; }
url=$(principal endpoint) && app=$(principal appId) && password=$(principal password) && tenant=$(principal tenant) || {
	echo "Bail out! $state/principal.json does not say how to log in"
	exit 1
}

points=0 failures=0
point() { # ok|"not ok" PROMISE
	points=$((points + 1))
	[ "$1" = ok ] || failures=$((failures + 1))
	printf '%s %d - %s\n' "$1" "$points" "$2"
}

# run COMMAND...: "az" stands for the program under test. Shows the command and what it said; keeps both.
run() {
	local start=$EPOCHREALTIME status=0 shown
	printf -v shown ' %q' "$@"
	printf '# $%s\n' "${shown//"$password"/...}"
	[ "$1" != az ] || set -- "$az" "${@:2}"
	"$@" >"$work/out" 2>"$work/err" </dev/null || status=$?
	sed 's/^/#   /' "$work/err" "$work/out" | head -n 40
	printf '#   (%d, %.1f s)\n' "$status" "$(jq -n "$EPOCHREALTIME - $start")"
	return "$status"
}

# cannot COMMAND...: whether this az cannot run it, and $why not.
cannot() {
	[ -n "$profile" ] && [ "$1" = az ] || return 1
	case " ${*:2} " in
	" network nic "@(update|show|delete|list-effective-nsg|show-effective-route-table)" "* | \
		" network "@(asg|route-table)" "* | " network nic ip-config update "* | " network vnet subnet update "* | \
		" network lb "@(show|update|delete)" "* | " network "@(lb|nsg)" rule update "* | " network list-usages "*)
		why="Debian 12's package of az lacks its operations" ;;
	*" --protocol Icmp "*) why="profile $profile has no Icmp" ;;
	" vm list "*" --vmss "*) why="profile $profile has no --vmss" ;;
	*) return 1 ;;
	esac
}

# skipped PROMISE COMMAND...: says so of what this az cannot run; false of all else.
skipped() {
	cannot "${@:2}" && point ok "$1 # SKIP ${*:2:4}: $why"
}

# does PROMISE FILTER COMMAND...: the command succeeds, and jq's FILTER (if any) is true of its answer, in which members
# of `properties` stand beside the others: `az resource` shows them apart.
does() {
	local promise=$1 filter=$2
	shift 2
	! skipped "$promise" "$@" || return 0
	if run "$@" && { [ -z "$filter" ] || jq -e "$flat | $filter" "$work/out" >/dev/null; }; then
		point ok "$promise"
	else
		point "not ok" "$promise"
	fi
}

flat='if type == "object" then . + (.properties // {}) else . end'

# says PROMISE PATTERN COMMAND...: the command succeeds, and a line of its table matches.
says() {
	local promise=$1 pattern=$2
	shift 2
	! skipped "$promise" "$@" || return 0
	if run "$@" && grep -Eq "$pattern" "$work/out"; then point ok "$promise"; else point "not ok" "$promise"; fi
}

# refuses PROMISE PATTERN COMMAND...: the command fails, and its message matches.
refuses() {
	local promise=$1 pattern=$2
	shift 2
	! skipped "$promise" "$@" || return 0
	if ! run "$@" && grep -Eq "$pattern" "$work/err"; then point ok "$promise"; else point "not ok" "$promise"; fi
}

# resource VERB TYPE[/NAME/TYPE] ARGUMENTS...: asks for parts of the network by `az resource`. Sets $command.
resource() {
	local words
	IFS=/ read -ra words <<<"$2"
	command=(az resource "$1" --resource-group "${area:-myResourceGroup}" --namespace Microsoft.Network
		--resource-type "${words[-1]}" "${@:3}")
	[ ${#words[@]} = 1 ] || command+=(--parent "${words[0]}/${words[1]}")
	[ "$1" != delete ] || command+=(--verbose) # else it keeps to itself why not
}

# accelerate NIC true|false: what sets it, as far as this az can run `network nic update`.
accelerate() {
	command=(az network nic update --name "$1" --resource-group myResourceGroup --accelerated-networking "$2")
	[ -z "$profile" ] || resource update networkInterfaces --name "$1" --set "properties.enableAcceleratedNetworking=$2"
}
accelerated=.enableAcceleratedNetworking

log_in() {
	# The first command builds az's index of commands and complains of its package's own faults.
	run az version
	does "a cloud can be registered" "" az cloud register -n sluice \
		--endpoint-resource-manager "$url" --endpoint-vm-image-alias-doc "$url/aliases.json"
	run az cloud set -n sluice
	[ -z "$profile" ] || run az cloud update --profile "$profile"
	refuses "a wrong secret does not log in" "." \
		az login --service-principal -u "$app" -p wrong --tenant "$tenant"
	does "the service principal logs in" '.[0].state == "Enabled"' \
		az login --service-principal -u "$app" -p "$password" --tenant "$tenant"
}

make_network() {
	does "a resource group is made" '.properties.provisioningState == "Succeeded"' \
		az group create --name myResourceGroup --location centralus
	does "a virtual network is made" '.newVNet.subnets[0].name == "mySubnet"' \
		az network vnet create --resource-group myResourceGroup --name myVnet --address-prefix 192.168.0.0/16 \
		--subnet-name mySubnet --subnet-prefix 192.168.1.0/24
	does "a network security group has the six default rules" '.NewNSG.defaultSecurityRules | length == 6' \
		az network nsg create --resource-group myResourceGroup --name myNetworkSecurityGroup
	does "a rule is made" '.priority == 100 and .access == "Allow"' \
		az network nsg rule create --resource-group myResourceGroup --nsg-name myNetworkSecurityGroup \
		--name Allow-SSH-Internet --access Allow --protocol Tcp --direction Inbound --priority 100 \
		--source-address-prefix Internet --source-port-range "*" --destination-address-prefix "*" \
		--destination-port-range 22
	does "a public address is made" '.publicIp.provisioningState == "Succeeded"' \
		az network public-ip create --name myPublicIp --resource-group myResourceGroup
	does "an accelerated NIC is made" \
		'.NewNIC | .enableAcceleratedNetworking and (.ipConfigurations[0] | .privateIPAddress // .privateIpAddress)' \
		az network nic create --resource-group myResourceGroup --name myNic --vnet-name myVnet --subnet mySubnet \
		--accelerated-networking true --public-ip-address myPublicIp --network-security-group myNetworkSecurityGroup
}

# power PROMISE STATE: what `az vm show -d` says of myVM.
power() { does "$1" ".powerState == \"$2\"" az vm show -d --resource-group myResourceGroup --name myVM; }

run_vm() {
	does "a VM is made with its NIC and runs" '.powerState == "VM running" and .publicIpAddress != ""' \
		az vm create --resource-group myResourceGroup --name myVM --image UbuntuLTS --size Standard_DS4_v2 \
		--admin-username azureuser --generate-ssh-keys --nics myNic
	power "a VM is shown with power state and addresses" "VM running"
	says "VMs are listed with details" "^myVM .*VM running" az vm list -d -o table
	accelerate myNic false
	refuses "acceleration cannot be changed while the VM runs" "[Dd]eallocate" "${command[@]}"
	does "a VM is deallocated" "" \
		az vm deallocate --resource-group myResourceGroup --name myVM
	power "a deallocated VM says so" "VM deallocated"
	does "acceleration is turned off" "$accelerated != true" "${command[@]}"
	accelerate myNic true
	does "acceleration is turned on" "$accelerated" "${command[@]}"
	does "a VM is started" "" az vm start --resource-group myResourceGroup --name myVM
	power "a started VM runs" "VM running"
	does "a VM is restarted" "" az vm restart -g myResourceGroup -n myVM
	does "a VM is stopped" "" az vm stop -g myResourceGroup -n myVM
	power "a stopped VM says so" "VM stopped"
}

look_around() {
	says "sizes are listed" "Standard_DS4_v2" az vm list-sizes -l centralus -o table
	does "sizes say whether they can be accelerated" \
		'any(.[]; .name == "Standard_DS4_v2" and any(.capabilities[]; .name == "AcceleratedNetworkingEnabled" and .value == "True"))' \
		az vm list-skus --location centralus --all true --resource-type virtualMachines
	says "images are listed" "UbuntuLTS" az vm image list -o table
	does "deployments are listed" 'length >= 1' az deployment group list -g myResourceGroup
	does "resources are listed" 'any(.[]; .name == "myVnet")' az resource list
}

ask_for_skus() {
	says "sizes of each series say whether they can be accelerated" "^DS4_v2 +Standard_DS4_v2 +True" az vm list-skus \
		--location westus --all true --resource-type virtualMachines \
		--query '[].{size:size, name:name, acceleratedNetworkingEnabled: capabilities[?name==`AcceleratedNetworkingEnabled`].value | [0]}' \
		--output table
	local size
	for size in "D2_v3 +Standard_D2_v3 +False" "D4_v3 +Standard_D4_v3 +True" "NC6 +Standard_NC6 +True" "NV6 +Standard_NV6 +True" \
		"H16r +Standard_H16r +False" "HC44rs +Standard_HC44rs +True"; do
		if grep -Eq "^$size" "$work/out"; then point ok "a line is '$size'"; else point "not ok" "a line is '$size'"; fi
	done
}

group=(--resource-group myResourceGroup)
web=("${group[@]}" --name web)
machine=(--image UbuntuLTS --admin-username azureuser --generate-ssh-keys)

# A set of two machines, whose NICs begin without acceleration.
keep_set() {
	does "an availability set is made" '.sku.name == "Aligned" and .platformFaultDomainCount == 2' \
		az vm availability-set create "${web[@]}" --platform-fault-domain-count 2 --platform-update-domain-count 5
	does "a set is shown" '.platformUpdateDomainCount == 5 and .virtualMachines == []' az vm availability-set show "${web[@]}"
	says "sets are listed" "web" az vm availability-set list "${group[@]}" -o table
	says "sizes for a set are listed" "Standard_DS2_v2" az vm availability-set list-sizes "${web[@]}" -o table
	does "a set is updated" '.tags.tier == "front"' az vm availability-set update "${web[@]}" --set tags.tier=front
	local vm
	for vm in web-1 web-2; do
		does "a NIC is made for $vm" "" az network nic create "${group[@]}" --name "$vm-nic" --vnet-name myVnet \
			--subnet mySubnet --accelerated-networking false
		does "$vm is made in the set" '.powerState == "VM running"' az vm create "${group[@]}" --name "$vm" \
			--availability-set web --size Standard_DS2_v2 --nics "$vm-nic" "${machine[@]}"
	done
	does "a VM names its set" '.availabilitySet.id | endswith("/availabilitySets/web")' \
		az vm show "${group[@]}" --name web-1
	run az rest --method get --url "$url/sluice/v1/hosts"
	local hosts domain
	hosts=$(jq '.hosts | length' "$work/out")
	run az vm get-instance-view "${group[@]}" --name web-1
	domain=$(jq .instanceView.platformFaultDomain "$work/out")
	does "VMs of a set are in different fault domains where there are several hosts, and in update domains in turn" \
		".instanceView | (.platformFaultDomain == $domain) == ($hosts == 1) and .platformUpdateDomain == 1" \
		az vm get-instance-view "${group[@]}" --name web-2
	does "VMs are listed with their sets" 'map(select(.availabilitySet)) | map(.name) | sort == ["web-1", "web-2"]' \
		az vm list "${group[@]}"
	does "a set names its VMs" '.virtualMachines | length == 2' az vm availability-set show "${web[@]}"
	refuses "a set with VMs stays" "in ?use|InUse" az vm availability-set delete "${web[@]}"
}

accelerate_set() {
	run az vm deallocate "${group[@]}" --name web-1
	accelerate web-1-nic true
	refuses "acceleration in a set waits for all of its VMs, and names those that are on" "not deallocated: web-2\\." "${command[@]}"
	run az vm deallocate "${group[@]}" --name web-2
	does "acceleration is turned on while all VMs of the set are deallocated" "$accelerated" "${command[@]}"
	run az vm start "${group[@]}" --name web-2
	accelerate web-1-nic false
	refuses "one VM that was started again is enough to refuse it" "not deallocated: web-2\\." "${command[@]}"
	refuses "a set is resized to what does not support acceleration once that is off in all of it" "web-1-nic of web-1" \
		az vm resize "${group[@]}" --name web-2 --size Standard_A8_v2
	run az vm deallocate "${group[@]}" --name web-2
	does "acceleration is turned off for the set" "$accelerated != true" "${command[@]}"
	does "then a VM of the set gets that size" '.hardwareProfile.vmSize == "Standard_A8_v2"' \
		az vm resize "${group[@]}" --name web-2 --size Standard_A8_v2
}

resize_vm() {
	does "a running VM is resized" '.hardwareProfile.vmSize == "Standard_D4s_v3"' \
		az vm resize "${group[@]}" --name myVM2 --size Standard_D4s_v3
	does "and runs" '.powerState == "VM running" and .hardwareProfile.vmSize == "Standard_D4s_v3"' \
		az vm show -d "${group[@]}" --name myVM2
	does "a VM is resized by an update" '.hardwareProfile.vmSize == "Standard_DS3_v2"' \
		az vm update "${group[@]}" --name myVM2 --set hardwareProfile.vmSize=Standard_DS3_v2
	does "sizes that a VM can have are listed" 'map(.name) | index("Standard_DS3_v2") and index("Standard_NC6")' \
		az vm list-vm-resize-options "${group[@]}" --name myVM2
	refuses "a size that no host can hold is refused with the filter of each host" "AllocationFailed.*RamFilter" \
		az vm resize "${group[@]}" --name myVM2 --size Standard_M128ms
	refuses "a size that is not there is refused" "no size of this cloud" \
		az vm resize "${group[@]}" --name myVM2 --size Standard_X1
	does "what was refused changed nothing" '.hardwareProfile.vmSize == "Standard_DS3_v2" and .powerState == "VM running"' \
		az vm show -d "${group[@]}" --name myVM2
	run az vm deallocate "${group[@]}" --name myVM2
	accelerate myVM2VMNic true
	does "its NIC is accelerated" "$accelerated" "${command[@]}"
	does "sizes that an accelerated VM can have leave out the others" \
		'map(.name) | index("Standard_DS3_v2") and (index("Standard_A8_v2") or index("Standard_D2_v3") | not)' \
		az vm list-vm-resize-options "${group[@]}" --name myVM2
	refuses "an accelerated VM takes no size that does not support it" "does not support" \
		az vm resize "${group[@]}" --name myVM2 --size Standard_A8_v2
	does "NC takes the flag" '.hardwareProfile.vmSize == "Standard_NC12"' \
		az vm resize "${group[@]}" --name myVM2 --size Standard_NC12
	run az vm start "${group[@]}" --name myVM2
	does "and its NIC says that it has no effect" '.[0].tags["sluice-acceleration"] | contains("Standard_NC12 accepts")' \
		az resource list "${group[@]}" --name myVM2VMNic
}

exchange_nics() {
	local nics=("${group[@]}" --vm-name myVM2)
	does "a plain NIC is made" "" az network nic create "${group[@]}" --name second --vnet-name myVnet --subnet mySubnet
	refuses "a NIC is attached only while its VM is deallocated" "deallocate it first" az vm nic add "${nics[@]}" --nics second
	run az vm deallocate "${group[@]}" --name myVM2
	does "a NIC is attached" 'length == 2 and .[0].primary and (.[1].primary | not)' az vm nic add "${nics[@]}" --nics second
	does "NICs of a VM are listed" 'map(.id | split("/") | last) == ["myVM2VMNic", "second"]' az vm nic list "${nics[@]}"
	does "another NIC becomes the primary one" '(.[0].primary | not) and .[1].primary' \
		az vm nic set "${nics[@]}" --nics myVM2VMNic second --primary-nic second
	refuses "more NICs than the size takes are refused" "takes 1 at most" \
		az vm resize "${group[@]}" --name myVM2 --size Standard_NC6
	does "a VM with a plain and an accelerated NIC runs" "" az vm start "${group[@]}" --name myVM2
	run az vm deallocate "${group[@]}" --name myVM2
	does "a NIC is detached" 'length == 1 and .[0].primary' az vm nic remove "${nics[@]}" --nics second
	does "a NIC of a VM is shown" '.enableAcceleratedNetworking' az vm nic show "${nics[@]}" --nic myVM2VMNic
}

be_wrong() {
	refuses "a VM that does not exist is not found" "ResourceNotFound" az vm show -g myResourceGroup -n nosuch
	refuses "a group that does not exist is not found" "ResourceGroupNotFound" az network vnet list -g nosuch
	refuses "a location that does not exist is refused" "LocationNotAvailable" az group create -n other -l mars
	refuses "a network security group in use stays" "in ?use|InUse" \
		az network nsg delete -g myResourceGroup -n myNetworkSecurityGroup
	refuses "overlapping subnets are refused" "[Oo]verlap" \
		az network vnet subnet create -g myResourceGroup --vnet-name myVnet -n other --address-prefixes 192.168.1.128/25
	refuses "a priority that is taken is refused" "[Pp]riority" \
		az network nsg rule create -g myResourceGroup --nsg-name myNetworkSecurityGroup -n other --priority 100 \
		--access Deny
	refuses "ports of a protocol without ports are refused, with what to write" "must be '\*'" \
		az network nsg rule create -g myResourceGroup --nsg-name myNetworkSecurityGroup -n other --priority 200 \
		--access Deny --protocol Icmp --destination-port-range 1-2
}

# Where `sluice up` made the images, all support acceleration.
choose_image() {
	local old=(az vm create --resource-group myResourceGroup --name old --image me:old:1:latest --size Standard_DS2_v2
		--admin-username azureuser --generate-ssh-keys)
	run az vm image show --location centralus --urn me:old:1:latest || return 0
	run az network nic create --resource-group myResourceGroup --name fast --vnet-name myVnet --subnet mySubnet \
		--accelerated-networking true
	refuses "an image that does not support acceleration takes no accelerated NIC" \
		"image of virtual machine old does not support accelerated networking, which network interface fast has" \
		"${old[@]}" --nics fast
	accelerate fast false
	run "${command[@]}"
	does "it takes a plain one" '.powerState == "VM running"' "${old[@]}" --nics fast
	run az vm deallocate --resource-group myResourceGroup --name old
	accelerate fast true
	refuses "which stays plain" "image of virtual machine old does not support" "${command[@]}"
	run az vm delete --resource-group myResourceGroup --name old --yes
}

run_second_vm() {
	does "a VM is made with all that it needs" '.powerState == "VM running" and .publicIpAddress != ""' \
		az vm create --resource-group myResourceGroup --name myVM2 --image UbuntuLTS --size Standard_DS2_v2 \
		--admin-username azureuser --generate-ssh-keys
}

# Template files, as users keep them.
deploy_templates() {
	local to=(--resource-group templates) from=(--template-file "$here/templates/site.json"
		--parameters "@$here/templates/site.parameters.json")
	run az group create --name templates --location westus
	does "a template with its file of parameters is found to be good" '.properties.provisioningState == "Succeeded"' \
		az deployment group validate "${to[@]}" "${from[@]}"
	refuses "a mistake in an expression is found at its place" 'InvalidTemplate.*in resources\[0\]\.location: column 35: the function .nosuch' \
		az deployment group validate "${to[@]}" --template-file "$here/templates/mistake.json"
	refuses "and deploying it says the same" 'in resources\[0\]\.location: column 35: the function .nosuch' \
		az deployment group create "${to[@]}" --template-file "$here/templates/mistake.json"
	refuses "a parameter out of its limits is refused" "firstPort.* is 80, and 1024 is the least" \
		az deployment group validate "${to[@]}" "${from[@]}" --parameters firstPort=80
	does "a template is deployed" \
		'.properties | .provisioningState == "Succeeded" and .outputs.addresses.value == ["10.9.0.4", "10.9.1.4"] and .outputs.inside.value == "10.9.0.4"' \
		az deployment group create "${to[@]}" --name site "${from[@]}"
	does "secrets are not shown" '.properties | .parameters.secret.value == null and .outputs.secret.value == null and .parameters.tiers.value == ["Web", "Data"]' \
		az deployment group show "${to[@]}" --name site
	does "each resource of a deployment is listed" 'map(.properties.targetResource.resourceName) | contains(["web-group", "data-group", "web-nic", "data-nic", "inside"]) and (index("door") | not)' \
		az deployment operation group list "${to[@]}" --name site
	does "a loop made the rules" 'map(.destinationPortRange) == ["8000", "8001", "8002"]' \
		az network nsg rule list "${to[@]}" --nsg-name data-group
	does "a NIC got its flag by the template" '.[0].tags.address == "10.9.0.4"' az resource list "${to[@]}" --name inner-group
	does "the same deployment is repeated, with one resource more" '.properties.outputs | .door.value and .addresses.value == ["10.9.0.4", "10.9.1.4"]' \
		az deployment group create "${to[@]}" --name site "${from[@]}" --parameters public=true
	from=("${to[@]}" --name refused --template-file "$here/templates/refused.json")
	refuses "what can be known before is refused before, with its resource" "virtualMachines 'small': .*Standard_Huge" \
		az deployment group create "${from[@]}" --parameters size=Standard_Huge
	refuses "and nothing is done" "NotFound" az deployment group show "${to[@]}" --name refused
	refuses "a failure names its resource" "AllocationFailed.*virtualMachines/small.*Standard_M128ms" \
		az deployment group create "${from[@]}" --parameters size=Standard_M128ms
	does "it leaves the rest" '.properties.provisioningState == "Failed" and .properties.error.code == "DeploymentFailed"' \
		az deployment group show "${to[@]}" --name refused
	does "and only what does not depend on it is there" 'map(.name) | index("beside") and (index("behind") | not)' az resource list "${to[@]}"
	does "mended, it is deployed" '.properties.provisioningState == "Succeeded"' \
		az deployment group create "${from[@]}" --parameters size=Standard_DS2_v2
	refuses "what fails deep inside of others is named outside, with its reason" \
		'DeploymentFailed.*deployments/deep.*deployments/module.*deployments/inmost.*AllocationFailed.*virtualMachines/far-vm.*RamFilter' \
		az deployment group create "${to[@]}" --name deep --template-file "$here/templates/deep.json" --parameters prefix=far
	refuses "a deployment that is over cannot be cancelled" "does not run" az deployment group cancel "${to[@]}" --name refused
	does "a deployment's template is given back" '.resources[0].name == "net"' az deployment group export "${to[@]}" --name refused
	does "Complete mode leaves only what is in the template" '.properties.mode == "Complete"' \
		az deployment group create "${from[@]}" --name only --mode Complete --parameters size=Standard_DS2_v2
	does "and the rest is gone" 'map(.name) | sort == ["behind", "beside", "net", "nic", "small"]' az resource list "${to[@]}"
	does "deployments are listed" 'map(.name) | contains(["site", "refused", "deep", "inmost", "only", "inside"])' az deployment group list "${to[@]}"
	does "a deployment is deleted, and what it made stays" "" az deployment group delete "${to[@]}" --name only
	refuses "then it is gone" "NotFound" az deployment group show "${to[@]}" --name only
	run az group delete --name templates --yes
}

delete_vm() {
	does "a VM is deleted" "" az vm delete -g myResourceGroup -n myVM --yes
	command=(az network nic delete --name myNic --resource-group myResourceGroup)
	[ -z "$profile" ] || resource delete networkInterfaces --name myNic
	does "a NIC is deleted" "" "${command[@]}"
}

delete_group() {
	does "a group is deleted with all that is in it" "" \
		az group delete --name myResourceGroup --yes
	says "a deleted group is gone" "false" az group exists --name myResourceGroup
}

# shellcheck source=balancers.sh
. "$here/balancers.sh"
# shellcheck source=images.sh
. "$here/images.sh"
# shellcheck source=interfaces.sh
. "$here/interfaces.sh"
# shellcheck source=keys.sh
. "$here/keys.sh"
# shellcheck source=limits.sh
. "$here/limits.sh"
# shellcheck source=network_policy.sh
. "$here/network_policy.sh"
# shellcheck source=scale_sets.sh
. "$here/scale_sets.sh"
# shellcheck source=templates.sh
. "$here/templates.sh"

finish() {
	printf '1..%d\n' "$points"
	[ "$failures" = 0 ]
	exit
}

log_in
if [ -n "$only" ]; then
	for part in $only; do
		"$part"
	done
	finish
fi
make_network
run_vm
look_around
ask_for_skus
be_wrong
choose_image
use_custom_image
hear_guest
keep_keys
run_second_vm
resize_vm
exchange_nics
make_plain_vm
give_addresses
give_ipv6
read_console
tag_things
keep_set
accelerate_set
deploy_templates
deploy_real_templates
refuse_templates
cancel_template
forget_templates
foretell_templates
forget_templates
export_templates
forget_templates
accelerate_scale_set
change_scale_set
stop_upgrade
keep_flexible_set
make_scale_set
use_scale_set
balance_scale_set
renew_scale_set
internal_balancer
make_flexible_set
delete_vm
delete_group
check_policies
check_limits
finish
