"""Transcripts: what a real client asked, and of what it was answered, the part that it needs.

A transcript is a JSON file:

    {"client": "az 2.74.0, profile latest",      who was recorded
     "base": "https://127.0.0.1:18443",          of the server that was recorded: replaced when replayed
     "commands": [
       {"command": "az network vnet create",     becomes the name of a test
        "exchanges": [
          {"method": "PUT", "path": "/subscriptions/...", "query": {"api-version": "2024-05-01"},
           "body": {...},                        absent: none; for the token endpoint a form
           "text": "...",                        instead of body: one that is no strict JSON, as it was sent
           "status": 201,
           "fails": {"code": "..."},             present: the operation that was started failed
           "answer": {...}}]}]}

The transcripts here were recorded from the real clients against a stand-in server that echoed resources, those of sets, images and
templates against Sluice itself; only the requests are the last word.
Polls of operations are left out: whoever replays follows the operation that its own answer names. Answers keep
what the client or its user reads; LISTS says how much of long lists is kept, UNREAD what is dropped.
"""
import json
import re

# Members that no client of these transcripts reads: a server may leave them out.
UNREAD = {
    "activeDirectoryDataLake", "allowExtensionOperations", "appliedDnsServers", "authorizationSource", "batch",
    "client", "command", "correlationId", "count", "delegations", "deleteOption", "dependencies", "description", "device_authorization_endpoint",
    "disallowed", "diskSizeGB", "disks", "dnsSettings", "duration", "enableDdosProtection", "enableVmProtection", "exactVersion", "ext_expires_in",
    "extensions", "family", "gallery", "galleryEndpoint", "graph", "graphEndpoint", "hostedWorkloads",
    "imageDeprecationStatus", "internalDomainNameSuffix", "ipTags", "jwks_uri", "level", "locationInfo", "managedByTenants",
    "managedDisk", "media", "nicType", "parameters", "portal", "portalEndpoint",
    "privateEndpointNetworkPolicies", "privateLinkServiceNetworkPolicies", "providers", "registrationPolicy", "resourceGuid",
    "secrets", "size", "sizeInGb", "sqlManagement", "subscriptionPolicies", "tags", "tapConfigurations", "templateHash",
    "tier", "time", "timeCreated", "timestamp", "virtualNetworkPeerings",
}
# Lists whose every element counts, by the name of the member; of any other the first element stands for all.
LISTS = {"defaultSecurityRules", "securityRules", "statuses", "outputResources", "networkInterfaces", "ipConfigurations"}
# Of the capabilities of a size, those that a user or az itself decides by.
CAPABILITIES = {"AcceleratedNetworkingEnabled", "vCPUs", "MemoryGB"}

OPERATION = re.compile(r"/(operations|operationStatuses|operationResults)/[^/]+$", re.IGNORECASE)


def trim(value, name=None):
    """What remains of an answer in a transcript."""
    if isinstance(value, dict):
        return {key: trim(member, key) for key, member in value.items() if key not in UNREAD and member is not None}
    if isinstance(value, list):
        if name == "capabilities":
            value = [item for item in value if isinstance(item, dict) and item.get("name") in CAPABILITIES]
        elif name not in LISTS:
            value = value[:1]
        return [trim(item) for item in value]
    return value


def is_operation(path):
    return OPERATION.search(path) is not None


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def save(path, transcript):
    """One exchange a line, so that a change shows as one."""
    dump = lambda value: json.dumps(value, separators=(", ", ": "))
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'{{"client": {dump(transcript["client"])}, "base": {dump(transcript["base"])}, "commands": [\n')
        commands = (f' {{"command": {dump(command["command"])}, "exchanges": [\n  '
                    + ",\n  ".join(map(dump, command["exchanges"])) + "]}" for command in transcript["commands"])
        file.write(",\n".join(commands) + "\n]}\n")
