/* What goes over the wire: logging in, the tutorial's requests, asynchronous operations, deployments, hosts.
 */
#include "api/test_cloud.h"
#include "base/pki.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GROUP "S/resourceGroups/myResourceGroup"
#define NET   GROUP "/providers/Microsoft.Network"
#define VM    GROUP "/providers/Microsoft.Compute/virtualMachines/myVM"

/* ---- logging in ---- */

static void scenario_login(struct test_cloud *cloud)
{
	_cleanup_(answer_clear) struct answer nobody = ask(cloud, "GET", "/subscriptions", NULL, NULL);
	_cleanup_(answer_clear) struct answer forged =
		ask(cloud, "GET", "/subscriptions", NULL, "Authorization", "Bearer a.b.c", NULL);
	_cleanup_(answer_clear) struct answer wrong =
		log_in(cloud, "client_credentials", "client_id=tester&client_secret=guess");
	_cleanup_(answer_clear) struct answer strange = log_in(cloud, "device_code", "client_id=tester");

	g_assert_cmpint(nobody.status, ==, 401);
	g_assert_cmpstr(answer_code(&nobody), ==, "AuthenticationFailed");
	g_assert_nonnull(strstr(answer_header(&nobody, "WWW-Authenticate"), "/adfs/oauth2/authorize"));
	g_assert_nonnull(answer_header(&nobody, "x-ms-request-id"));
	g_assert_cmpint(forged.status, ==, 401);
	g_assert_cmpint(wrong.status, ==, 401);
	g_assert_cmpstr(answer_text(&wrong, "error"), ==, "invalid_client");
	g_assert_cmpint(strange.status, ==, 400);
	log_in_as_tester(cloud);
	_cleanup_(answer_clear) struct answer good =
		ask(cloud, "GET", "/subscriptions?api-version=2022-12-01", NULL, NULL);
	g_assert_cmpint(good.status, ==, 200);
	g_assert_cmpint(json_array_size(json_object_get(good.json, "value")), ==, 1);
}

static void scenario_user(struct test_cloud *cloud)
{
	_cleanup_(answer_clear) struct answer tokens =
		log_in(cloud, "password", "client_id=cli&username=ada%40local&password=pass+word");
	g_assert_cmpint(tokens.status, ==, 200);
	g_autofree char *again = g_strdup_printf("refresh_token=%s", answer_text(&tokens, "refresh_token")),
			*access = g_strdup_printf("refresh_token=%s", answer_text(&tokens, "access_token"));
	_cleanup_(answer_clear) struct answer refreshed = log_in(cloud, "refresh_token", again);
	_cleanup_(answer_clear) struct answer misused = log_in(cloud, "refresh_token", access);
	_cleanup_(answer_clear) struct answer as_service =
		log_in(cloud, "client_credentials", "client_id=ada%40local&client_secret=pass+word");

	g_assert_cmpstr(answer_text(&tokens, "id_token"), !=, "");
	g_assert_cmpint(refreshed.status, ==, 200);
	g_assert_cmpint(misused.status, ==, 401);
	g_assert_cmpint(as_service.status, ==, 401);
	cloud->token = g_strdup(answer_text(&tokens, "id_token"));
	_cleanup_(answer_clear) struct answer with_id = ask(cloud, "GET", "/subscriptions", NULL, NULL);
	g_assert_cmpint(with_id.status, ==, 401);
}

static void scenario_metadata(struct test_cloud *cloud)
{
	static const char *const versions[] = {"2015-01-01", "2019-05-01", "2022-09-01"};
	g_autofree char *login = g_strconcat(cloud->clients_url, "/adfs", NULL);

	for (size_t i = 0; i < G_N_ELEMENTS(versions); i++) {
		g_autofree char *path = g_strconcat("/metadata/endpoints?api-version=", versions[i], NULL);
		_cleanup_(answer_clear) struct answer answer = ask(cloud, "GET", path, NULL, NULL);
		const json_t *cloud_json =
			json_is_array(answer.json) ? json_array_get(answer.json, 0) : answer.json;
		json_auto_t *expected = json_pack("{s:{s:s}}", "authentication", "loginEndpoint", login);
		g_assert_cmpint(json_is_array(answer.json), ==, i == 1);
		fixture_assert_covers(expected, cloud_json);
	}
	_cleanup_(answer_clear) struct answer aliases = ask(cloud, "GET", "/aliases.json", NULL, NULL);
	json_auto_t *expected = json_pack("{s:{s:{s:{s:{s:{s:s, s:s}}}}}}", "outputs", "aliases", "value",
		"Linux", "UbuntuLTS", "sku", "18.04-LTS", "architecture", "x64");
	fixture_assert_covers(expected, aliases.json);
}

/* ---- the tutorial ---- */

static void assert_power(struct test_cloud *cloud, const char *code)
{
	_cleanup_(answer_clear) struct answer vm = ask(cloud, "GET", VM "?$expand=instanceView", NULL, NULL);
	json_auto_t *expected =
		json_pack("{s:{s:{s:[{}, {s:s}]}}}", "properties", "instanceView", "statuses", "code", code);

	g_assert_cmpint(vm.status, ==, 200);
	fixture_assert_covers(expected, vm.json);
}

static void act(struct test_cloud *cloud, const char *method, const char *path)
{
	_cleanup_(answer_clear) struct answer answer = ask(cloud, method, path, NULL, NULL);

	g_assert_cmpint(answer.status, ==, 202);
	g_autofree char *end = finish(cloud, &answer, NULL);
	g_assert_cmpstr(end, ==, "Succeeded");
	_cleanup_(answer_clear) struct answer last =
		ask(cloud, "GET", answer_header(&answer, "Location"), NULL, NULL);
	g_assert_cmpint(last.status, ==, g_str_equal(method, "DELETE") ? 204 : 200);
}

static unsigned set_accelerated(struct test_cloud *cloud, bool on)
{
	_cleanup_(answer_clear) struct answer nic =
		ask(cloud, "GET", NET "/networkInterfaces/myNic", NULL, NULL);

	json_object_set_new(
		json_object_get(nic.json, "properties"), "enableAcceleratedNetworking", json_boolean(on));
	g_autofree char *body = json_dumps(nic.json, JSON_COMPACT);
	_cleanup_(answer_clear) struct answer answer =
		ask(cloud, "PUT", NET "/networkInterfaces/myNic", body, NULL);
	if (answer_header(&answer, "Azure-AsyncOperation"))
		g_free(finish(cloud, &answer, NULL));
	return answer.status;
}

static void scenario_tutorial(struct test_cloud *cloud)
{
	put_base(cloud);
	g_assert_cmpint(put_recorded(cloud, "vm"), ==, 201);
	assert_power(cloud, "PowerState/running");
	g_assert_cmpint(set_accelerated(cloud, false), ==, 409);
	act(cloud, "POST", VM "/deallocate");
	assert_power(cloud, "PowerState/deallocated");
	g_assert_cmpint(set_accelerated(cloud, false), ==, 200);
	act(cloud, "POST", VM "/start");
	act(cloud, "POST", VM "/restart");
	act(cloud, "POST", VM "/powerOff?skipShutdown=false");
	assert_power(cloud, "PowerState/stopped");
	_cleanup_(answer_clear) struct answer in_use =
		ask(cloud, "DELETE", NET "/networkInterfaces/myNic", NULL, NULL);
	g_assert_cmpint(in_use.status, ==, 409);
	act(cloud, "DELETE", VM);
	_cleanup_(answer_clear) struct answer again = ask(cloud, "DELETE", VM, NULL, NULL);
	g_assert_cmpint(again.status, ==, 204);
	act(cloud, "DELETE", GROUP);
	_cleanup_(answer_clear) struct answer gone = ask(cloud, "HEAD", GROUP, NULL, NULL);
	g_assert_cmpint(gone.status, ==, 404);
	_cleanup_(answer_clear) struct answer rest = ask(cloud, "GET", "S/resources", NULL, NULL);
	g_assert_cmpint(json_array_size(json_object_get(rest.json, "value")), ==, 0);
}

/* ---- asynchronous operations ---- */

static void *obey_soon(void *data)
{
	g_usleep(400 * 1000);
	test_cloud_obey(data, true);
	return NULL;
}

static void scenario_held(struct test_cloud *cloud)
{
	unsigned polls;

	put_base(cloud);
	g_assert_cmpint(put_recorded(cloud, "vm"), ==, 201);
	test_cloud_obey(cloud, false);
	_cleanup_(answer_clear) struct answer answer = ask(cloud, "POST", VM "/deallocate", NULL, NULL);
	GThread *helper = g_thread_new("obey", obey_soon, cloud);
	int64_t from = g_get_monotonic_time();
	g_autofree char *end = finish(cloud, &answer, &polls);
	int64_t took_ms = (g_get_monotonic_time() - from) / 1000;
	g_thread_join(helper);
	g_assert_cmpstr(end, ==, "Succeeded");
	g_assert_cmpint(polls, ==, 1);
	g_assert_cmpint(took_ms, >=, 300);
}

static void *cancel_soon(void *data)
{
	g_usleep(200 * 1000);
	g_cancellable_cancel(data);
	return NULL;
}

/* The answer then has nobody to go to; nothing else may suffer. */
static void scenario_hung_up(struct test_cloud *cloud)
{
	g_autoptr(GCancellable) cancellable = g_cancellable_new();

	put_base(cloud);
	g_assert_cmpint(put_recorded(cloud, "vm"), ==, 201);
	test_cloud_obey(cloud, false);
	_cleanup_(answer_clear) struct answer answer = ask(cloud, "POST", VM "/deallocate", NULL, NULL);
	g_autoptr(SoupMessage) message =
		soup_message_new("GET", answer_header(&answer, "Azure-AsyncOperation"));
	g_autofree char *bearer = g_strconcat("Bearer ", cloud->token, NULL);
	soup_message_headers_append(soup_message_get_request_headers(message), "Authorization", bearer);
	GThread *helper = g_thread_new("cancel", cancel_soon, cancellable);
	g_autoptr(GBytes) bytes = soup_session_send_and_read(cloud->session, message, cancellable, NULL);
	g_assert_null(bytes);
	g_thread_join(helper);
	test_cloud_obey(cloud, true);
	g_autofree char *end = finish(cloud, &answer, NULL);
	g_assert_cmpstr(end, ==, "Succeeded");
}

static void *restart_soon(void *data)
{
	g_usleep(200 * 1000);
	test_cloud_restart(data);
	return NULL;
}

static void scenario_stopped(struct test_cloud *cloud)
{
	put_base(cloud);
	g_assert_cmpint(put_recorded(cloud, "vm"), ==, 201);
	test_cloud_obey(cloud, false);
	_cleanup_(answer_clear) struct answer answer = ask(cloud, "POST", VM "/deallocate", NULL, NULL);
	GThread *helper = g_thread_new("restart", restart_soon, cloud);
	_cleanup_(answer_clear) struct answer held =
		ask(cloud, "GET", answer_header(&answer, "Azure-AsyncOperation"), NULL, NULL);
	g_thread_join(helper);
	g_assert_cmpint(held.status, ==, 0);
	g_assert_cmpint(held.took_ms, <, 10000);
	_cleanup_(answer_clear) struct answer again = ask(cloud, "GET", VM, NULL, NULL);
	g_assert_cmpint(again.status, ==, 200);
}

static void scenario_unknown_operation(struct test_cloud *cloud)
{
	log_in_as_tester(cloud);
	_cleanup_(answer_clear) struct answer answer = ask(cloud, "GET",
		"S/providers/Microsoft.Network/locations/centralus/operations/none", NULL, NULL);
	g_assert_cmpint(answer.status, ==, 404);
}

/* ---- versions ---- */

static void scenario_etags(struct test_cloud *cloud)
{
	static const char body[] =
		"{\"location\": \"centralus\", \"properties\": {\"addressSpace\": {\"addressPrefixes\":"
		" [\"192.168.0.0/16\"]}}}";
	const char *net = NET "/virtualNetworks/myVnet";

	put_base(cloud);
	_cleanup_(answer_clear) struct answer read = ask(cloud, "GET", net, NULL, NULL);
	const char *etag = answer_header(&read, "ETag");
	g_assert_cmpstr(etag, ==, answer_text(&read, "etag"));
	_cleanup_(answer_clear) struct answer same =
		ask(cloud, "GET", net, NULL, "If-None-Match", etag, NULL);
	_cleanup_(answer_clear) struct answer first = ask(cloud, "PUT", net, body, "If-Match", etag, NULL);
	_cleanup_(answer_clear) struct answer second = ask(cloud, "PUT", net, body, "If-Match", etag, NULL);
	_cleanup_(answer_clear) struct answer foreign =
		ask(cloud, "PUT", net, body, "If-Match", "\"x\"", NULL);
	_cleanup_(answer_clear) struct answer exists =
		ask(cloud, "PUT", net, body, "If-None-Match", "*", NULL);
	_cleanup_(answer_clear) struct answer missing =
		ask(cloud, "PUT", NET "/virtualNetworks/other", body, "If-Match", "*", NULL);
	_cleanup_(answer_clear) struct answer deletion =
		ask(cloud, "DELETE", net, NULL, "If-Match", etag, NULL);
	g_assert_cmpint(same.status, ==, 304);
	g_assert_cmpint(first.status, ==, 200);
	g_assert_cmpint(second.status, ==, 412);
	g_assert_cmpint(foreign.status, ==, 412);
	g_assert_cmpint(exists.status, ==, 412);
	g_assert_cmpint(missing.status, ==, 412);
	g_assert_cmpint(deletion.status, ==, 412);
}

static void scenario_patch(struct test_cloud *cloud)
{
	put_base(cloud);
	_cleanup_(answer_clear) struct answer one =
		ask(cloud, "PATCH", NET "/publicIPAddresses/myPublicIp", "{\"tags\": {\"a\": \"1\"}}", NULL);
	_cleanup_(answer_clear) struct answer two = ask(cloud, "PATCH", NET "/publicIPAddresses/myPublicIp",
		"{\"tags\": {\"b\": \"2\"}, \"properties\": {\"idleTimeoutInMinutes\": 9}}", NULL);
	json_auto_t *expected = json_pack("{s:{s:s}, s:{s:i, s:s}}", "tags", "b", "2", "properties",
		"idleTimeoutInMinutes", 9, "publicIPAllocationMethod", "Static");
	g_assert_cmpint(one.status, ==, 200);
	g_assert_cmpint(two.status, ==, 200);
	fixture_assert_covers(expected, two.json);
	g_assert_cmpint(json_object_size(json_object_get(two.json, "tags")), ==, 1);
}

/* ---- paths and bodies ---- */

static void scenario_http(struct test_cloud *cloud)
{
	g_autofree char *long_body = g_strnfill(SERVER_BODY_MAX + 1, ' ');

	put_base(cloud);
	_cleanup_(answer_clear) struct answer loose = ask(cloud, "GET",
		"S//RESOURCEGROUPS/MYRESOURCEGROUP/providers/microsoft.network//VirtualNetworks/myvnet/",
		NULL, NULL);
	_cleanup_(answer_clear) struct answer nothing = ask(cloud, "GET", "/nothing/here", NULL, NULL);
	_cleanup_(answer_clear) struct answer method = ask(cloud, "PUT", "/subscriptions", "{}", NULL);
	_cleanup_(answer_clear) struct answer other =
		ask(cloud, "GET", "/subscriptions/none/resources", NULL, NULL);
	_cleanup_(answer_clear) struct answer too_long = ask(cloud, "PUT", GROUP, long_body, NULL);
	_cleanup_(answer_clear) struct answer broken = ask(cloud, "PUT", GROUP, "{\"location\": ", NULL);
	_cleanup_(answer_clear) struct answer filter =
		ask(cloud, "GET", "S/resources?$filter=a%20gt%201", NULL, NULL);
	g_assert_cmpint(loose.status, ==, 200);
	g_assert_cmpstr(answer_text(&loose, "name"), ==, "myVnet");
	g_assert_cmpint(nothing.status, ==, 404);
	g_assert_cmpint(method.status, ==, 405);
	g_assert_cmpstr(answer_header(&method, "Allow"), ==, "GET");
	g_assert_cmpstr(answer_code(&other), ==, "SubscriptionNotFound");
	g_assert_cmpint(too_long.status, ==, 413);
	g_assert_cmpstr(answer_code(&broken), ==, "InvalidRequestContent");
	g_assert_cmpstr(answer_code(&filter), ==, "InvalidFilterInQueryString");
}

static void scenario_catalog(struct test_cloud *cloud)
{
	static const char versions[] =
		"S/providers/Microsoft.Compute/locations/centralus/publishers/canonical/artifacttypes/"
		"vmimage/offers/UbuntuServer/skus/18.04-LTS/versions";

	log_in_as_tester(cloud);
	_cleanup_(answer_clear) struct answer list = ask(cloud, "GET", versions, NULL, NULL);
	_cleanup_(answer_clear) struct answer sizes =
		ask(cloud, "GET", "S/providers/Microsoft.Compute/locations/westus/vmSizes", NULL, NULL);
	_cleanup_(answer_clear) struct answer mars =
		ask(cloud, "GET", "S/providers/Microsoft.Compute/locations/mars/vmSizes", NULL, NULL);
	_cleanup_(answer_clear) struct answer skus = ask(cloud, "GET",
		"S/providers/Microsoft.Compute/skus?$filter=location%20eq%20'West%20US'", NULL, NULL);
	_cleanup_(answer_clear) struct answer on_mars = ask(cloud, "GET",
		"S/providers/Microsoft.Compute/skus?$filter=location%20eq%20'mars'", NULL, NULL);
	_cleanup_(answer_clear) struct answer provider =
		ask(cloud, "GET", "S/providers/microsoft.network", NULL, NULL);
	json_auto_t *version = json_pack("[{s:s}]", "name", "18.04.202611220");
	g_autofree char *one = g_strconcat(versions, "/18.04.202611220", NULL);
	_cleanup_(answer_clear) struct answer image = ask(cloud, "GET", one, NULL, NULL);
	fixture_assert_covers(version, list.json);
	g_assert_cmpint(image.status, ==, 200);
	g_assert_cmpint(json_array_size(json_object_get(sizes.json, "value")), ==,
		json_array_size(json_object_get(skus.json, "value")));
	g_assert_cmpstr(answer_code(&mars), ==, "LocationNotAvailableForResourceType");
	g_assert_cmpstr(answer_code(&on_mars), ==, "LocationNotAvailableForResourceType");
	g_assert_cmpstr(answer_text(&provider, "namespace"), ==, "Microsoft.Network");
}

/* ---- deployments ---- */

/* What az posts for `vm create` without --nics, spliced as it does for template files. */
static char *deployment_body(struct test_cloud *cloud)
{
	json_auto_t *vm = fixture_load(&cloud->fixture, "vm"), *nic = fixture_load(&cloud->fixture, "nic");
	json_t *vm_body = json_object_get(vm, "request"), *nic_body = json_object_get(nic, "request");

	json_object_set_new(vm_body, "type", json_string("Microsoft.Compute/virtualMachines"));
	json_object_set_new(vm_body, "name", json_string("myVM"));
	json_object_set_new(
		vm_body, "dependsOn", json_pack("[s]", "Microsoft.Network/networkInterfaces/mynic"));
	json_object_set_new(nic_body, "type", json_string("Microsoft.Network/networkInterfaces"));
	json_object_set_new(nic_body, "name", json_string("[parameters('nic')]"));
	g_autofree char *vm_text = json_dumps(vm_body, JSON_COMPACT),
			*nic_text = json_dumps(nic_body, JSON_COMPACT);
	return g_strdup_printf("{\"properties\": {\"mode\": \"incremental\", \"parameters\": {\"nic\": "
			       "{\"value\": \"myNic\"},"
			       " \"secret\": {\"value\": \"hunter2\"}}, template: { // as in the file\n"
			       "parameters: {nic: {type: 'string'}, secret: {type: 'secureString'}},\n"
			       "resources: [%s, %s,], outputs: {mac: {type: 'string',"
			       " value: \"[reference('myNic').macAddress]\"}}}}}",
		vm_text, nic_text);
}

#define DEPLOYMENT GROUP "/providers/Microsoft.Resources/deployments/d"

static void scenario_deployment(struct test_cloud *cloud)
{
	put_base(cloud);
	g_autofree char *body = deployment_body(cloud);
	_cleanup_(answer_clear) struct answer valid = ask(cloud, "POST", DEPLOYMENT "/validate", body, NULL);
	g_assert_cmpstr(answer_code(&valid), ==, "");
	_cleanup_(answer_clear) struct answer put = ask(cloud, "PUT", DEPLOYMENT, body, NULL);
	json_auto_t *accepted = json_pack("{s:{s:s}}", "properties", "provisioningState", "Accepted");
	g_assert_cmpint(put.status, ==, 201);
	fixture_assert_covers(accepted, put.json);
	g_autofree char *end = finish(cloud, &put, NULL);
	g_assert_cmpstr(end, ==, "Succeeded");
	_cleanup_(answer_clear) struct answer read = ask(cloud, "GET", DEPLOYMENT, NULL, NULL);
	json_auto_t *expected = json_pack("{s:{s:s, s:[{}, {}], s:{s:{s:s}}, s:{s:{s:s}}}}", "properties",
		"provisioningState", "Succeeded", "outputResources", "outputs", "mac", "type", "String",
		"parameters", "nic", "value", "myNic");
	fixture_assert_covers(expected, read.json);
	g_autofree char *text = json_dumps(read.json, JSON_COMPACT);
	g_assert_null(strstr(text, "hunter2"));
	assert_power(cloud, "PowerState/running");
}

static void scenario_deployment_fails(struct test_cloud *cloud)
{
	static const char body[] =
		"{\"properties\": {\"mode\": \"Incremental\", \"template\": {\"resources\": ["
		"{\"type\": \"Microsoft.Network/virtualNetworks\", \"name\": \"bad\", \"location\": "
		"\"centralus\"},"
		"{\"type\": \"Microsoft.Network/networkSecurityGroups\", \"name\": \"after\", \"location\": "
		"\"centralus\","
		" \"dependsOn\": [\"bad\"]},"
		"{\"type\": \"Microsoft.Network/networkSecurityGroups\", \"name\": \"free\", \"location\": "
		"\"centralus\"}]}}}";
	static const char classic[] =
		"{\"properties\": {\"mode\": \"Incremental\", \"template\": {\"resources\": [{\"type\":"
		" \"Microsoft.ClassicCompute/virtualMachines\", \"name\": \"old\"}]}}}";

	put_base(cloud);
	_cleanup_(answer_clear) struct answer put = ask(cloud, "PUT", DEPLOYMENT, body, NULL);
	g_assert_cmpint(put.status, ==, 201);
	g_autofree char *end = finish(cloud, &put, NULL);
	g_assert_cmpstr(end, ==, "Failed");
	_cleanup_(answer_clear) struct answer status =
		ask(cloud, "GET", answer_header(&put, "Azure-AsyncOperation"), NULL, NULL);
	json_auto_t *expected = json_pack("{s:{s:s, s:[{s:s}]}}", "error", "code", "DeploymentFailed",
		"details", "code", "InvalidRequestContent");
	fixture_assert_covers(expected, status.json);
	_cleanup_(answer_clear) struct answer after =
		ask(cloud, "GET", NET "/networkSecurityGroups/after", NULL, NULL);
	_cleanup_(answer_clear) struct answer unrelated =
		ask(cloud, "GET", NET "/networkSecurityGroups/free", NULL, NULL);
	g_assert_cmpint(after.status, ==, 404);
	g_assert_cmpint(unrelated.status, ==, 200);
	_cleanup_(answer_clear) struct answer refused = ask(cloud, "PUT", DEPLOYMENT, classic, NULL);
	g_autofree char *second = finish(cloud, &refused, NULL);
	_cleanup_(answer_clear) struct answer why =
		ask(cloud, "GET", answer_header(&refused, "Azure-AsyncOperation"), NULL, NULL);
	g_assert_cmpint(refused.status, ==, 200);
	g_assert_cmpstr(second, ==, "Failed");
	g_assert_cmpstr(answer_code(&why), ==, "InvalidResourceType");
}

static void wait_for_power(struct test_cloud *cloud, const char *code)
{
	for (;;) {
		_cleanup_(answer_clear) struct answer view =
			ask(cloud, "GET", VM "/instanceView", NULL, NULL);
		const json_t *status = json_array_get(json_object_get(view.json, "statuses"), 1);
		if (g_strcmp0(json_string_value(json_object_get(status, "code")), code) == 0)
			return;
		g_usleep(10 * 1000);
	}
}

/* The NIC is there and the machine is waited for when the controller goes; the one after it goes on. */
static void scenario_restart(struct test_cloud *cloud)
{
	put_base(cloud);
	g_autofree char *body = deployment_body(cloud), *url = NULL;
	/* The host must have been seen alive for the machine to be placed. */
	g_usleep(100 * 1000);
	test_cloud_obey(cloud, false);
	_cleanup_(answer_clear) struct answer put = ask(cloud, "PUT", DEPLOYMENT, body, NULL);
	g_assert_cmpint(put.status, ==, 201);
	wait_for_power(cloud, "PowerState/starting");
	test_cloud_restart(cloud);
	test_cloud_obey(cloud, true);
	/* The port is another one, the path is not. */
	url = g_strconcat(cloud->clients_url,
		strstr(answer_header(&put, "Azure-AsyncOperation"), "/subscriptions/"), NULL);
	for (;;) {
		_cleanup_(answer_clear) struct answer status = ask(cloud, "GET", url, NULL, NULL);
		g_assert_cmpint(status.status, ==, 200);
		g_assert_cmpstr(answer_code(&status), ==, "");
		if (g_str_equal(answer_text(&status, "status"), "Succeeded"))
			break;
	}
	assert_power(cloud, "PowerState/running");
}

/* ---- hosts and operators ---- */

static void scenario_hosts(struct test_cloud *cloud)
{
	g_autofree char *goal = g_strconcat(cloud->agents_url, "/agent/v1/goal", NULL);

	log_in_as_tester(cloud);
	/* Without a certificate there is no connection, whatever token goes with it. */
	_cleanup_(answer_clear) struct answer bare =
		ask(cloud, "GET", goal, NULL, "Sluice-Protocol", "1", NULL);
	g_assert_cmpint(bare.status, ==, 0);
}

static unsigned ask_as_host(struct test_cloud *cloud, const char *method, const char *path, const char *body,
	const char *protocol)
{
	g_autofree char *url = g_strconcat(cloud->agents_url, path, NULL),
			*cert = g_build_filename(cloud->fixture.dir, "host.pem", NULL),
			*key = g_build_filename(cloud->fixture.dir, "host.key", NULL);
	g_autoptr(GTlsCertificate) certificate = g_tls_certificate_new_from_files(cert, key, NULL);
	g_autoptr(SoupMessage) message = soup_message_new(method, url);
	g_autoptr(GBytes) bytes = body ? g_bytes_new(body, strlen(body)) : NULL;

	soup_message_set_tls_client_certificate(message, certificate);
	if (protocol)
		soup_message_headers_append(
			soup_message_get_request_headers(message), "Sluice-Protocol", protocol);
	if (bytes)
		soup_message_set_request_body_from_bytes(message, "application/json", bytes);
	g_autoptr(GBytes) answer = soup_session_send_and_read(cloud->session, message, NULL, NULL);
	return answer ? soup_message_get_status(message) : 0;
}

static void scenario_host_rules(struct test_cloud *cloud)
{
	g_assert_cmpint(ask_as_host(cloud, "GET", "/agent/v1/goal", NULL, "1"), ==, 200);
	g_assert_cmpint(ask_as_host(cloud, "GET", "/agent/v1/goal", NULL, NULL), ==, 400);
	g_assert_cmpint(ask_as_host(cloud, "GET", "/agent/v1/goal", NULL, "2"), ==, 400);
	g_assert_cmpint(ask_as_host(cloud, "GET", "/agent/v1/goal?after=x", NULL, "1"), ==, 400);
	/* What another store, or this one before it was set back, had given is behind the goal that is there. */
	g_assert_cmpint(ask_as_host(cloud, "GET", "/agent/v1/goal?after=900000&host=x", NULL, "1"), ==, 200);
	g_assert_cmpint(ask_as_host(cloud, "GET", "/agent/v1/goal?after=900000", NULL, "1"), ==, 200);
	g_assert_cmpint(ask_as_host(cloud, "PUT", "/agent/v1/report", "{\"host\": \"host2\"}", "1"), ==, 403);
	g_assert_cmpint(ask_as_host(cloud, "PUT", "/agent/v1/report", "{\"host\": 7}", "1"), ==, 400);
	g_assert_cmpint(ask_as_host(cloud, "PUT", "/agent/v1/report", "{", "1"), ==, 400);
	g_assert_cmpint(ask_as_host(cloud, "GET", "/agent/v1/other", NULL, "1"), ==, 404);
}

static void assert_removal(struct test_cloud *cloud, const char *query, unsigned status, const char *words)
{
	g_autofree char *path = g_strconcat("/sluice/v1/hosts/host1", query, NULL);
	_cleanup_(answer_clear) struct answer answer = ask(cloud, "DELETE", path, NULL, NULL);
	g_autofree char *text = json_dumps(answer.json, JSON_COMPACT);

	g_test_message("%u %s", answer.status, text);
	g_assert_cmpint(answer.status, ==, status);
	g_assert_nonnull(strstr(text, words));
}

static void renew_certificate(struct test_cloud *cloud)
{
	static const char *const files[] = {"host.pem", "host.key"};
	g_autoptr(GError) error = NULL;

	for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
		g_autofree char *path = g_build_filename(cloud->fixture.dir, files[i], NULL);
		g_assert_cmpint(unlink(path), ==, 0);
	}
	pki_ensure_later_leaf(cloud->fixture.dir, "host", "host1", &error);
	g_assert_no_error(error);
	soup_session_abort(cloud->session); /* its connections were made with the old one */
}

static void scenario_removed_host(struct test_cloud *cloud)
{
	put_base(cloud);
	g_assert_cmpint(put_recorded(cloud, "vm"), ==, 201);
	cloud->fixture.host_timeout_s = 1;
	test_cloud_restart(cloud);
	assert_removal(cloud, "?lost=true", 409, "host host1 reports, or may yet do so");
	test_cloud_obey(cloud, false);
	g_usleep(1500 * 1000);
	assert_removal(cloud, "?lost=no", 400, "lost is 'true' or left out");
	assert_removal(cloud, "", 409, "has the disks of 1 virtual machines");
	g_assert_cmpint(ask_as_host(cloud, "GET", "/agent/v1/goal", NULL, "1"), ==, 200);
	assert_removal(cloud, "?lost=true", 200, "\"lost\":[\"myResourceGroup/myVM\"]");
	assert_removal(cloud, "?lost=true", 404, "there is no host host1");
	g_assert_cmpint(ask_as_host(cloud, "GET", "/agent/v1/goal", NULL, "1"), ==, 403);
	assert_power(cloud, "PowerState/deallocated");
	_cleanup_(answer_clear) struct answer start = ask(cloud, "POST", VM "/start", NULL, NULL);
	g_assert_cmpint(start.status, ==, 409);
	_cleanup_(answer_clear) struct answer deletion = ask(cloud, "DELETE", VM, NULL, NULL);
	g_autofree char *end = finish(cloud, &deletion, NULL);
	g_assert_cmpstr(end, ==, "Succeeded");
	renew_certificate(cloud);
	g_assert_cmpint(ask_as_host(cloud, "GET", "/agent/v1/goal", NULL, "1"), ==, 200);
}

static void scenario_operator(struct test_cloud *cloud)
{
	_cleanup_(answer_clear) struct answer closed = ask(cloud, "GET", "/sluice/v1/functions", NULL, NULL);
	g_assert_cmpint(closed.status, ==, 401);
	put_base(cloud);
	g_assert_cmpint(put_recorded(cloud, "vm"), ==, 201);
	_cleanup_(answer_clear) struct answer functions =
		ask(cloud, "GET", "/sluice/v1/functions", NULL, NULL);
	_cleanup_(answer_clear) struct answer hosts = ask(cloud, "GET", "/sluice/v1/hosts", NULL, NULL);
	json_auto_t *used =
		json_pack("{s:[{s:s, s:s, s:{s:s}, s:{s:s, s:s}}]}", "functions", "host", "host1", "state",
			"attached", "nic", "name", "myNic", "vm", "name", "myVM", "group", "myResourceGroup");
	json_auto_t *host = json_pack("{s:[{s:s, s:i}]}", "hosts", "name", "host1", "vcpus", 64);
	fixture_assert_covers(used, functions.json);
	fixture_assert_covers(host, hosts.json);
}

/* Waits for the one host to be so. */
static void assert_host(struct test_cloud *cloud, json_t *expected)
{
	json_auto_t *member = expected;

	for (unsigned looks = 0;; looks++) {
		_cleanup_(answer_clear) struct answer hosts =
			ask(cloud, "GET", "/sluice/v1/hosts", NULL, NULL);
		const json_t *host = json_array_get(json_object_get(hosts.json, "hosts"), 0);
		json_auto_t *both = json_copy((json_t *)host);
		g_assert_cmpint(json_object_update(both, member), ==, 0);
		if (json_equal(both, host))
			return;
		g_assert_cmpuint(looks, <, 500);
		g_usleep(10 * 1000);
	}
}

static void scenario_hosts_state(struct test_cloud *cloud)
{
	put_base(cloud);
	assert_host(cloud, json_pack("{s:b, s:b, s:i}", "drained", false, "silent", false, "vcpus", 64));
	g_atomic_int_set(&cloud->drained, true);
	assert_host(cloud, json_pack("{s:b, s:b}", "drained", true, "silent", false));
	cloud->fixture.host_timeout_s = 1;
	test_cloud_restart(cloud);
	assert_host(cloud, json_pack("{s:b, s:b}", "drained", true, "silent", false));
	test_cloud_obey(cloud, false);
	assert_host(cloud, json_pack("{s:b, s:b}", "drained", true, "silent", true));
	g_atomic_int_set(&cloud->drained, false);
	test_cloud_obey(cloud, true);
	assert_host(cloud, json_pack("{s:b, s:b}", "drained", false, "silent", false));
}

#define ADD(name, fn) TEST_CLOUD_ADD("/api/" name, fn)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("a token is asked for and only given for the right secret", scenario_login);
	ADD("a user's refresh token renews the access token and nothing else does", scenario_user);
	ADD("clients find the cloud's endpoints in each of their versions", scenario_metadata);
	ADD("the tutorial's requests end in a machine that runs, stops and goes", scenario_tutorial);
	ADD("a status request is held until the operation is over", scenario_held);
	ADD("a client that hangs up while it waits harms nobody", scenario_hung_up);
	ADD("a stop ends requests that are held", scenario_stopped);
	ADD("an operation that is not known is not found", scenario_unknown_operation);
	ADD("ETags guard against lost updates", scenario_etags);
	ADD("a patch merges properties and replaces tags", scenario_patch);
	ADD("paths are read loosely, bodies within limits", scenario_http);
	ADD("images, sizes and providers are listed", scenario_catalog);
	ADD("a template deploys in the order of its dependencies", scenario_deployment);
	ADD("a failed deployment says why and stops only what depends on it", scenario_deployment_fails);
	ADD("a deployment goes on after a restart of the controller", scenario_restart);
	ADD("hosts need a certificate", scenario_hosts);
	ADD("a host speaks the protocol and for itself only", scenario_host_rules);
	ADD("a host that was removed needs a new certificate, and its machine can be deleted",
		scenario_removed_host);
	ADD("an operator sees hosts and functions", scenario_operator);
	ADD("operators see which hosts are drained, and which are silent", scenario_hosts_state);
	return g_test_run();
}
