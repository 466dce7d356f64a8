"""Drives the protocol double of Azure Batch with the official client through a whole life cycle: whatever the double says must be
what that client expects. Arguments: address, account, key, address of the container, its signature."""

import sys
import time
import uuid

from azure.batch import BatchClient
from azure.batch import models
from azure.core.credentials import AzureNamedKeyCredential
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import ContainerClient

url, account, key, container, signature = sys.argv[1:]
client = BatchClient(url, AzureNamedKeyCredential(account, key))


def refused(kind, act):
    try:
        act()
    except kind:
        return
    raise AssertionError(f"{kind} was to come")


pool = f"pool-{uuid.uuid4().hex[:6]}"
plan = models.BatchPoolCreateOptions(
    id=pool, vm_size="standard_d2_v2", target_dedicated_nodes=1, task_slots_per_node=2,
    virtual_machine_configuration=models.VirtualMachineConfiguration(
        image_reference=models.BatchVmImageReference(publisher="p", offer="o", sku="s"), node_agent_sku_id="batch.node.ubuntu 22.04"))
client.create_pool(plan)
refused(ResourceExistsError, lambda: client.create_pool(plan))
assert client.get_pool(pool).current_dedicated_nodes == 1
assert [node.state for node in client.list_nodes(pool)] == ["idle"]

blobs = ContainerClient.from_container_url(f"{container}?{signature}")
blobs.upload_blob("official/hello.txt", b"hello from a blob", overwrite=True)
refused(ResourceExistsError, lambda: blobs.upload_blob("official/hello.txt", b"twice", overwrite=False))
assert blobs.download_blob("official/hello.txt").readall() == b"hello from a blob"

job = f"job-{uuid.uuid4().hex[:6]}"
client.create_job(models.BatchJobCreateOptions(id=job, pool_info=models.BatchPoolInfo(pool_id=pool)))
refused(ResourceExistsError, lambda: client.create_job(
    models.BatchJobCreateOptions(id=job, pool_info=models.BatchPoolInfo(pool_id=pool))))
assert client.get_job(job).state == "active"


def task(name, line, **more):
    return models.BatchTaskCreateOptions(id=name, command_line=line, **more)


good = task("good", "/bin/sh -c \"cat hello.txt; echo $GREETING; pwd >where; sleep 0.2\"",
            environment_settings=[models.EnvironmentSetting(name="GREETING", value="hi there")],
            resource_files=[models.ResourceFile(http_url=f"{container}/official/hello.txt?{signature}", file_path="hello.txt")])
client.create_task(job, good)
refused(ResourceExistsError, lambda: client.create_task(job, good))
many = [task(f"many-{number}", f"/bin/sh -c 'exit {number % 3}'") for number in range(20)] + [task("long", "/bin/sleep 300")]
results = client.create_tasks(job, many)
assert [result.status for result in results.result_values] == ["success"] * 21, results
assert len(list(client.list_tasks(job))) == 22, "page after page"


def until(ready):
    for _ in range(600):
        if ready():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come")


def over():
    return {one.id: one for one in client.list_tasks(job, filter="state eq 'completed'")}


until(lambda: len(over()) == 21)
until(lambda: client.get_task(job, "long").state == "running")
client.terminate_task(job, "long")
until(lambda: len(over()) == 22)
ended = over()
assert ended["good"].execution_info.exit_code == 0 and ended["good"].execution_info.result == "success"
assert ended["many-2"].execution_info.exit_code == 2
assert ended["many-2"].execution_info.failure_info.code == "FailureExitCode"
assert ended["long"].execution_info.failure_info.code == "TaskEnded"
refused(HttpResponseError, lambda: client.terminate_task(job, "long"))
assert b"".join(client.download_task_file(job, "good", "stdout.txt")) == b"hello from a blobhi there\n"
assert b"".join(client.download_task_file(job, "good", "stdout.txt", ocp_range="bytes=6-9")) == b"from"
assert client.get_task_file_properties(job, "good", "stdout.txt").content_length == 26
names = {file.name for file in client.list_task_files(job, "good", recursive=True)}
assert {"stdout.txt", "stderr.txt", "wd", "wd/where"} <= names, names
refused(ResourceNotFoundError, lambda: client.get_task_file_properties(job, "good", "wd/nothing"))
refused(ResourceNotFoundError, lambda: client.get_task(job, "nobody"))
assert client.get_job_task_counts(job).task_counts.completed == 22
client.delete_task(job, "good")
refused(ResourceNotFoundError, lambda: client.get_task(job, "good"))
refused(HttpResponseError, lambda: BatchClient(url, AzureNamedKeyCredential(account, "AAAA")).get_job(job))
waiting = client.begin_delete_job(job) if hasattr(client, "begin_delete_job") else client.delete_job(job)
getattr(waiting, "wait", lambda: None)()
refused(ResourceNotFoundError, lambda: client.get_job(job))
waiting = client.begin_delete_pool(pool) if hasattr(client, "begin_delete_pool") else client.delete_pool(pool)
getattr(waiting, "wait", lambda: None)()
refused(ResourceNotFoundError, lambda: client.get_pool(pool))
print("the official client is content")
