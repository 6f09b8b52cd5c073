# The parts of clients.sh about images of users' own, and what guests say that they run. They need what cloud.py pretends: an
# image "web" that was imported, the alias Old, and guests that are what a tag of their machine says.
# shellcheck shell=bash disable=SC2154

is_pretended() { run az vm image show --location centralus --urn me:old:1:latest; }

# make_nic NAME true|false
make_nic() {
	run az network nic create "${group[@]}" --name "$1" --vnet-name myVnet --subnet mySubnet --accelerated-networking "$2"
}

use_custom_image() {
	local mine=("${group[@]}" --name mine) support=sluice-accelerated-networking id
	local own=(az vm create "${group[@]}" --size Standard_DS2_v2 --admin-username azureuser --generate-ssh-keys)
	is_pretended || return 0
	refuses "an image is made only of what was imported" "image store does not have" \
		az image create "${mine[@]}" --os-type Linux --source sluice:nosuch
	does "a user makes an image of what was imported" '.storageProfile.osDisk.blobUri == "sluice:web"' \
		az image create "${mine[@]}" --os-type Linux --source sluice:web
	does "an image is shown" '.provisioningState == "Succeeded" and .storageProfile.osDisk.osType == "Linux"' \
		az image show "${mine[@]}"
	id=$(jq -r .id "$work/out")
	says "images are listed" "centralus +mine" az image list -o table
	make_nic own-nic true
	refuses "an image that does not declare support takes no accelerated NIC" "$support=true" \
		"${own[@]}" --name own --image mine --nics own-nic
	refuses "the tag that declares it is true or false" "'perhaps'" \
		az image update "${mine[@]}" --tags "$support=perhaps"
	does "an image declares it by its tag" ".tags[\"$support\"] == \"true\"" \
		az image update "${mine[@]}" --tags "$support=true"
	does "then a VM is made from it by its name, with an accelerated NIC" '.powerState == "VM running"' \
		"${own[@]}" --name own --image mine --nics own-nic
	does "a VM says from which image it was made" '.storageProfile.imageReference.id | endswith("/images/mine")' \
		az vm show "${group[@]}" --name own
	make_nic plain-nic false
	does "a VM is made by the image's id" '.powerState == "VM running"' \
		"${own[@]}" --name own-2 --image "$id" --nics plain-nic
	does "an image is deleted" "" az image delete "${mine[@]}"
	does "and its VMs are changed as before" '.tags.left == "over"' \
		az vm update "${group[@]}" --name own --set tags.left=over
	refuses "of an image that is gone no VM is made" "Invalid image|not found" \
		"${own[@]}" --name own-3 --image mine --nics own-nic
	run az vm delete "${group[@]}" --name own --yes
	run az vm delete "${group[@]}" --name own-2 --yes
}

# The tag of a NIC is read from the list: not every az can run `network nic show`.
hear_guest() {
	local heard=("${group[@]}" --name heard) old="ubuntu 16.04 4.4.0-31-generic" new="ubuntu 16.04 4.15.0-1113-azure"
	is_pretended || return 0
	make_nic heard-nic true
	does "a VM with an old kernel is made, and accelerated" '.powerState == "VM running"' \
		az vm create "${heard[@]}" --image UbuntuLTS --size Standard_DS2_v2 --nics heard-nic \
		--admin-username azureuser --generate-ssh-keys --tags "pretend-guest=$old"
	does "its instance view says what its guest runs" \
		'.instanceView | .osName == "ubuntu" and .osVersion == "16.04" and .vmAgent.statuses[0].displayStatus == "Ready"' \
		az vm get-instance-view "${heard[@]}"
	does "its NIC says that the kernel is too old, and what to do" \
		'.[0].tags["sluice-acceleration"] | contains("4.4.0-31-generic, older than 4.11.0-1013") and contains("linux-azure")' \
		az resource list "${group[@]}" --name heard-nic
	run az vm deallocate "${heard[@]}"
	accelerate heard-nic false
	does "acceleration is turned off" "($accelerated) != true" "${command[@]}"
	accelerate heard-nic true
	refuses "it is not turned on for a kernel that is known to be too old" "4.4.0-31-generic when it was heard last" \
		"${command[@]}"
	run az vm update "${heard[@]}" --set "tags.pretend-guest=$new"
	run az vm start "${heard[@]}"
	does "the guest has a newer one by now" '.instanceView.vmAgent.statuses[0].message | contains("4.15.0-1113-azure")' \
		az vm get-instance-view "${heard[@]}"
	run az vm deallocate "${heard[@]}"
	does "then it is" "$accelerated" "${command[@]}"
	run az vm delete "${heard[@]}" --yes
}
