"""A client of the Azure Resource Manager dialect, as small as tests need it."""
import json
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request

API_VERSION = "api-version=2022-07-01"
OPERATION_LIMIT_S = 180


class Refused(Exception):
    """The server answered with an error, at once or as the end of an operation (status None)."""

    def __init__(self, status, body):
        error = body.get("error") if isinstance(body, dict) else None
        error = error if isinstance(error, dict) else {}
        self.status, self.body = status, body
        self.code, self.message = error.get("code"), error.get("message")
        super().__init__(f"{status or 'operation failed'} ({self.code}) {self.message}")


class Unreachable(Exception):
    """Nobody answered, or not to the end: whether the command was taken is not known."""


def changes(before, after, at=""):
    """Sentences on how two answers differ, but for revisions, which also count what a host reports."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after} - {"etag"}):
            yield from changes(before.get(key), after.get(key), f"{at}.{key}" if at else key)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, pair in enumerate(zip(before, after)):
            yield from changes(*pair, f"{at}[{number}]")
    elif before != after:
        yield f"{at}: {before!r} became {after!r}"


class Arm:
    def __init__(self, state):
        self.state = state
        self.endpoint = (state / "endpoint").read_text().strip()
        self.principal = json.loads((state / "principal.json").read_text())
        self.tls = ssl.create_default_context(cafile=str(state / "ca.pem"))
        self.token = None
        self.subscription = None

    def send(self, method, url, body=None, headers=None):
        """(status, headers, text); statuses of errors are not raised."""
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json", **(headers or {})}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=OPERATION_LIMIT_S, context=self.tls) as response:
                return response.status, response.headers, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()
        except OSError as error:
            raise Unreachable(f"{method} {url}: {error}") from error
        except Exception as error:  # http.client's own family: the server ended in the middle of its answer
            raise Unreachable(f"{method} {url}: {type(error).__name__} {error}") from error

    def log_in(self):
        form = urllib.parse.urlencode({
            "grant_type": "client_credentials", "client_id": self.principal["appId"],
            "client_secret": self.principal["password"], "scope": "https://management.sluice.local/.default"})
        status, _, text = self.send("POST", self.endpoint + "/adfs/oauth2/token", form.encode(),
                                    {"Content-Type": "application/x-www-form-urlencoded"})
        if status != 200:
            raise Refused(status, json.loads(text))
        self.token = json.loads(text)["access_token"]

    def raw(self, method, path, body=None):
        """(status, headers, decoded body) of one request; path from / on, or a whole URL."""
        if not self.token:
            self.log_in()
        url = path if path.startswith("https:") else self.endpoint + path
        if "api-version=" not in url:
            url += ("&" if "?" in url else "?") + API_VERSION
        status, headers, text = self.send(method, url, body, {"Authorization": "Bearer " + self.token})
        return status, headers, json.loads(text) if text else None

    def ask(self, method, path, body=None):
        """(headers, body) of a request that is not refused."""
        status, headers, answer = self.raw(method, path, body)
        if status >= 400:
            raise Refused(status, answer)
        return headers, answer

    def get(self, path):
        return self.ask("GET", path)[1]

    def do(self, method, path, body=None):
        """Sends a command and follows its operation to the end."""
        headers, answer = self.ask(method, path, body)
        operation = headers.get("Azure-AsyncOperation")
        end = time.monotonic() + OPERATION_LIMIT_S
        while operation:
            status = self.get(operation)
            if status["status"] == "Succeeded":
                break
            if status["status"] in ("Failed", "Canceled"):
                raise Refused(None, status)
            if time.monotonic() > end:
                raise TimeoutError(f"{method} {path} is still {status['status']} after {OPERATION_LIMIT_S} s")
            time.sleep(0.1)
        return answer

    def put(self, path, body):
        return self.do("PUT", path, body)

    def delete(self, path):
        return self.do("DELETE", path)

    def subscription_path(self):
        if not self.subscription:
            self.subscription = self.get("/subscriptions")["value"][0]["id"]
        return self.subscription

    def group(self, name):
        return Group(self, self.subscription_path() + "/resourceGroups/" + name)

    def resources(self):
        """Everything of the subscription as the server describes it, by id."""
        found = {}
        root = self.subscription_path()
        for kind in ("resourceGroups", *(f"providers/{kind}" for kind in KINDS)):
            for item in self.get(f"{root}/{kind}")["value"]:
                found[item["id"]] = item
        return found


NETWORK, COMPUTE = "Microsoft.Network", "Microsoft.Compute"
KINDS = (f"{NETWORK}/loadBalancers", f"{NETWORK}/virtualNetworks", f"{NETWORK}/networkSecurityGroups", f"{NETWORK}/publicIPAddresses",
         f"{NETWORK}/networkInterfaces", f"{COMPUTE}/virtualMachines")


class Group:
    """A resource group, and the bodies that the tutorial's commands send for what is in it."""

    def __init__(self, arm, path, location="centralus"):
        self.arm, self.path, self.location = arm, path, location

    def __call__(self, kind, name):
        """Path of a resource: group("virtualNetworks", "net")."""
        provider = COMPUTE if kind == "virtualMachines" else NETWORK
        return f"{self.path}/providers/{provider}/{kind}/{name}"

    def put(self, kind, name, properties, **more):
        return self.arm.put(self(kind, name), {"location": self.location, "properties": properties, **more})

    def create(self):
        return self.arm.put(self.path, {"location": self.location})

    def network(self, name, prefix="192.168.0.0/16", subnets=(("subnet", "192.168.1.0/24"),)):
        return self.put("virtualNetworks", name, {
            "addressSpace": {"addressPrefixes": [prefix]},
            "subnets": [{"name": subnet, "properties": {"addressPrefix": part}} for subnet, part in subnets]})

    def security_group(self, name):
        return self.put("networkSecurityGroups", name, {})

    def rule(self, group, name, priority, protocol="Tcp", port="*", **changes):
        return self.arm.put(self("networkSecurityGroups", group) + "/securityRules/" + name, {"properties": {
            "protocol": protocol, "access": "Allow", "direction": "Inbound", "priority": priority,
            "sourceAddressPrefix": "Internet", "sourcePortRange": "*", "destinationAddressPrefix": "*",
            "destinationPortRange": port, **changes}})

    def address(self, name):
        self.put("publicIPAddresses", name, {"publicIPAllocationMethod": "Static"}, sku={"name": "Standard"})
        return self.arm.get(self("publicIPAddresses", name))["properties"]["ipAddress"]

    def nic(self, name, network, address=None, security_group=None, accelerated=True, subnet="subnet", **changes):
        configuration = {"subnet": {"id": self("virtualNetworks", network) + "/subnets/" + subnet},
                         "privateIPAllocationMethod": "Dynamic", **changes}
        if address:
            configuration["publicIPAddress"] = {"id": self("publicIPAddresses", address)}
        properties = {"enableAcceleratedNetworking": accelerated,
                      "ipConfigurations": [{"name": "ipconfig1", "properties": configuration}]}
        if security_group:
            properties["networkSecurityGroup"] = {"id": self("networkSecurityGroups", security_group)}
        return self.put("networkInterfaces", name, properties)

    def balancer(self, name, address, pool, rules, nat_rules):
        """rules: (name, port, its members' port, also the probe's); nat_rules: (name, port, the port of the one NIC that has it)."""
        path = self("loadBalancers", name)
        front = {"id": f"{path}/frontendIPConfigurations/front"}
        return self.put("loadBalancers", name, {
            "frontendIPConfigurations": [
                {"name": "front", "properties": {"publicIPAddress": {"id": self("publicIPAddresses", address)}}}],
            "backendAddressPools": [{"name": pool}],
            "probes": [{"name": rule, "properties": {"protocol": "Tcp", "port": inner, "intervalInSeconds": 5}} for rule, _, inner in rules],
            "loadBalancingRules": [{"name": rule, "properties": {
                "protocol": "Tcp", "frontendPort": port, "backendPort": inner, "frontendIPConfiguration": front,
                "backendAddressPool": {"id": f"{path}/backendAddressPools/{pool}"},
                "probe": {"id": f"{path}/probes/{rule}"}}} for rule, port, inner in rules],
            "inboundNatRules": [{"name": rule, "properties": {
                "protocol": "Tcp", "frontendPort": port, "backendPort": inner, "frontendIPConfiguration": front}}
                for rule, port, inner in nat_rules]}, sku={"name": "Standard"})

    def vm(self, name, nic, key, size="Standard_DS2_v2", image=("Canonical", "UbuntuServer", "18.04-LTS", "latest")):
        return self.put("virtualMachines", name, self.vm_properties(name, [nic], key, size, image))

    def vm_properties(self, name, nics, key, size, image):
        return {
            "hardwareProfile": {"vmSize": size},
            "networkProfile": {"networkInterfaces": [
                {"id": self("networkInterfaces", nic), "properties": {"primary": number == 0}}
                for number, nic in enumerate(nics)]},
            "storageProfile": {"osDisk": {"createOption": "fromImage"},
                               "imageReference": dict(zip(("publisher", "offer", "sku", "version"), image))},
            "osProfile": {"computerName": name, "adminUsername": "azureuser", "linuxConfiguration": {
                "disablePasswordAuthentication": True,
                "ssh": {"publicKeys": [{"path": "/home/azureuser/.ssh/authorized_keys", "keyData": key}]}}}}

    def post(self, name, action):
        return self.arm.do("POST", f"{self('virtualMachines', name)}/{action}")

    def power(self, name):
        """'running', 'stopped', 'deallocated' ...; None when nothing is said."""
        statuses = self.arm.get(self("virtualMachines", name) + "/instanceView")["statuses"]
        return next((status["code"].split("/")[1] for status in statuses if status["code"].startswith("PowerState/")), None)
