# The part of clients.sh about SSH public keys that are kept by a name.
# shellcheck shell=bash disable=SC2154

keep_keys() {
	local mine=("${group[@]}" --name mine) public
	run ssh-keygen -q -t rsa -b 2048 -N "" -C ada -f "$work/key"
	public=$(<"$work/key.pub")
	does "a public key is kept by a name" '.publicKey | endswith(" ada")' \
		az sshkey create "${mine[@]}" --location centralus --public-key "$public"
	refuses "what is no public key is refused" "a public key is" \
		az sshkey create "${group[@]}" --name bad --location centralus --public-key "nothing"
	does "a kept key is tagged, and stays" '.tags.of == "ada" and (.publicKey | endswith(" ada"))' \
		az sshkey update "${mine[@]}" --tags of=ada
	does "kept keys are listed" 'map(.name) == ["mine"]' az sshkey list "${group[@]}"
	make_nic key-nic false
	does "a VM is made with a kept key" '.powerState == "VM running"' \
		az vm create "${group[@]}" --name keyed --image UbuntuLTS --size Standard_B1s --nics key-nic \
		--admin-username azureuser --ssh-key-name mine
	does "and has that key" '.osProfile.linuxConfiguration.ssh.publicKeys[0].keyData | endswith(" ada")' \
		az vm show "${group[@]}" --name keyed
	does "a pair is made where no key is given" '.publicKey | startswith("ssh-rsa ")' \
		az sshkey create "${group[@]}" --name made --location centralus
	public=$(jq -r '.publicKey | split(" ")[1]' "$work/out")
	chmod 600 "$HOME"/.ssh/* # az leaves it to the user
	says "and its private key is in the user's files, for ssh" "${public//+/[+]}" \
		ssh-keygen -y -f "$(find "$HOME/.ssh" -name '[0-9]*_*[0-9]' | head -n 1)"
	run az vm delete "${group[@]}" --name keyed --yes
	does "a kept key is deleted" "" az sshkey delete "${mine[@]}" --yes
	run az sshkey delete "${group[@]}" --name made --yes
	refuses "and is not there any more" "not found|ResourceNotFound" az sshkey show "${mine[@]}"
}
