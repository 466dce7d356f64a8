"""A protocol double of Azure Batch and of one blob container: a real HTTP server whose tasks are processes of this machine.

It speaks api-version 2025-06-01 as the official client does, recomputes every signature, refuses what the service would refuse, and
executes command lines with the variables and folders of a node. What it cannot show is the service's own behaviour: how long
nodes take, when it throttles, how it loses them. For tests there are controls below `/_control/`:

    busy?n=K            the next K requests to Batch are answered 503 with Retry-After
    deaf?n=K&path=P     the next K requests whose path ends in P are done, and their answers lost
    lose-node?id=N      a node dies with all that runs on it; its tasks are queued again
    counts              how many requests of each kind came

    azure_batch.py FOLDER [NODES] [SLOTS]     writes FOLDER/env when it listens, ends on TERM
"""

import base64
import hashlib
import hmac
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
import uuid
from datetime import datetime, timezone
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ACCOUNT = "odtest"
KEY = base64.b64encode(os.urandom(32)).decode()
TOKEN = uuid.uuid4().hex
SIGNATURE = f"sv=2021-12-02&sp=racwd&sig={uuid.uuid4().hex}"
CONTAINER = "trials"
API_VERSION = "2025-06-01"
PAGE = 7
TERM_TO_KILL = 5
SIGNED = ["content-encoding", "content-language", "content-length", "content-md5", "content-type", "date", "if-modified-since",
          "if-match", "if-none-match", "if-unmodified-since", "range"]
TASK_FIELDS = {"id", "displayName", "commandLine", "environmentSettings", "resourceFiles", "outputFiles", "constraints",
               "requiredSlots", "userIdentity", "containerSettings", "dependsOn", "exitConditions", "affinityInfo",
               "multiInstanceSettings", "applicationPackageReferences", "authenticationTokenSettings"}
JOB_FIELDS = {"id", "displayName", "usesTaskDependencies", "priority", "allowTaskPreemption", "maxParallelTasks", "constraints",
              "jobManagerTask", "jobPreparationTask", "jobReleaseTask", "commonEnvironmentSettings", "poolInfo",
              "onAllTasksComplete", "onTaskFailure", "networkConfiguration", "metadata"}
POOL_FIELDS = {"id", "displayName", "vmSize", "virtualMachineConfiguration", "resizeTimeout", "targetDedicatedNodes",
               "targetLowPriorityNodes", "enableAutoScale", "autoScaleFormula", "autoScaleEvaluationInterval",
               "enableInterNodeCommunication", "networkConfiguration", "startTask", "applicationPackageReferences",
               "taskSlotsPerNode", "taskSchedulingPolicy", "userAccounts", "metadata", "mountConfiguration", "upgradePolicy"}

lock = threading.RLock()
pools, jobs, nodes, blobs_made = {}, {}, {}, set()
counts, busy, deaf = {}, [0], {}
root = None
base = None


class Refusal(Exception):
    def __init__(self, status, code, text="", headers=None):
        self.status, self.code, self.text, self.headers = status, code, text or code, headers or {}


def now():
    return datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")


def children_of(pid):
    """The process and everything below it, whatever sessions it made."""
    below = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = open(f"/proc/{entry}/stat").read()
            except OSError:
                continue
            below.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry))
    found, queue = [], [pid]
    while queue:
        one = queue.pop()
        found.append(one)
        queue.extend(below.get(one, []))
    return found


def kill_tree(pid):
    for _ in range(3):
        for one in children_of(pid):
            try:
                os.kill(one, signal.SIGKILL)
            except ProcessLookupError:
                pass


class Node:
    def __init__(self, pool, number, slots):
        self.id, self.pool, self.slots, self.used = f"tvm-{pool}-{number}", pool, slots, 0
        self.root = os.path.join(root, "nodes", self.id)
        os.makedirs(os.path.join(self.root, "shared"), exist_ok=True)


class Task:
    def __init__(self, job, body):
        self.job, self.body, self.id = job, body, body["id"]
        self.state, self.previous, self.since = "active", None, now()
        self.created, self.etag = now(), f"0x{uuid.uuid4().hex[:12]}"
        self.node, self.process, self.info = None, None, {"retryCount": 0, "requeueCount": 0}
        self.life, self.ending = 0, False

    def folder(self):
        return os.path.join(self.node.root, "workitems", self.job.id, "job-1", self.id)

    def become(self, state):
        self.previous, self.state, self.since = self.state, state, now()

    def shown(self):
        shown = {**self.body, "url": f"{base}/jobs/{self.job.id}/tasks/{self.id}", "eTag": self.etag, "creationTime": self.created,
                 "lastModified": self.created, "state": self.state, "stateTransitionTime": self.since, "executionInfo": self.info}
        if self.previous:
            shown["previousState"] = self.previous
        if self.node:
            shown["nodeInfo"] = {"poolId": self.node.pool, "nodeId": self.node.id, "taskRootDirectory": f"workitems/{self.id}",
                                 "affinityId": f"TVM:{self.node.id}", "nodeUrl": f"{base}/pools/{self.node.pool}/nodes/{self.node.id}"}
        return shown

    def fail(self, category, code, text):
        self.info.update({"result": "failure", "failureInfo": {"category": category, "code": code, "message": text, "details": []}})

    def run(self, life):
        folder, node = self.folder(), self.node
        work = os.path.join(folder, "wd")
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(work)
        trouble = None
        for file in self.body.get("resourceFiles") or []:
            try:
                path = os.path.join(work, file["filePath"])
                with urllib.request.urlopen(file["httpUrl"]) as source, open(path, "wb") as to:
                    shutil.copyfileobj(source, to)
                os.chmod(path, int(file.get("fileMode") or "0770", 8))
            except Exception as error:
                trouble = f"{file.get('filePath')}: {error}"
        environment = {
            "PATH": os.environ["PATH"], "HOME": work, "AZ_BATCH_ACCOUNT_NAME": ACCOUNT, "AZ_BATCH_ACCOUNT_URL": base,
            "AZ_BATCH_POOL_ID": node.pool, "AZ_BATCH_JOB_ID": self.job.id, "AZ_BATCH_TASK_ID": self.id, "AZ_BATCH_NODE_ID": node.id,
            "AZ_BATCH_NODE_IS_DEDICATED": "true", "AZ_BATCH_NODE_ROOT_DIR": node.root,
            "AZ_BATCH_NODE_SHARED_DIR": os.path.join(node.root, "shared"), "AZ_BATCH_TASK_DIR": folder,
            "AZ_BATCH_TASK_WORKING_DIR": work,
        }
        environment.update({pair["name"]: pair.get("value", "") for pair in self.body.get("environmentSettings") or []})
        code = None
        with lock:
            if self.life != life:
                return
            if trouble is None and not self.ending:
                self.become("running")
                self.info["startTime"] = now()
                with open(os.path.join(folder, "stdout.txt"), "wb") as out, open(os.path.join(folder, "stderr.txt"), "wb") as errors:
                    try:
                        # No shell: that is the service's rule.
                        self.process = subprocess.Popen(shlex.split(self.body["commandLine"]), cwd=work, env=environment, stdout=out,
                                                        stderr=errors, stdin=subprocess.DEVNULL, start_new_session=True)
                    except OSError as error:
                        trouble = str(error)
        if self.process and trouble is None:
            code = self.process.wait()
        with lock:
            if self.life != life:
                return
            kill_tree(self.process.pid) if self.process and self.process.poll() is None else None
            self.become("completed")
            self.info["endTime"] = now()
            node.used -= self.slots()
            if trouble is not None:
                self.fail("usererror", "BlobAccessDenied", trouble)
            elif self.ending:
                self.fail("usererror", "TaskEnded", "Task Was Ended by User Request")
            else:
                self.info["exitCode"] = 128 - code if code < 0 else code
                self.info["result"] = "success"
                if code != 0:
                    self.fail("usererror", "FailureExitCode", "The task exited with an exit code representing a failure")

    def slots(self):
        return self.body.get("requiredSlots") or 1

    def terminate(self):
        if self.state == "completed":
            raise Refusal(409, "TaskCompleted", "The specified task is already in a completed state.")
        self.ending = True
        if self.state == "active":
            self.become("completed")
            self.fail("usererror", "TaskEnded", "Task Was Ended by User Request")
            self.info["endTime"] = now()
        elif self.process:
            process = self.process
            try:
                os.killpg(process.pid, signal.SIGTERM)
            except ProcessLookupError:
                pass
            threading.Timer(TERM_TO_KILL, lambda: kill_tree(process.pid) if process.poll() is None else None).start()

    def remove(self):
        if self.state != "completed":
            life, self.life = self.life, self.life + 1
            if self.process and self.process.poll() is None:
                kill_tree(self.process.pid)
            if self.node and self.state in ("preparing", "running"):
                self.node.used -= self.slots()
        if self.node:
            shutil.rmtree(self.folder(), ignore_errors=True)


class Job:
    def __init__(self, body):
        self.id, self.body, self.tasks, self.state, self.created = body["id"], body, {}, "active", now()

    def shown(self):
        return {**self.body, "url": f"{base}/jobs/{self.id}", "eTag": "0x1", "creationTime": self.created, "lastModified": self.created,
                "state": self.state, "stateTransitionTime": self.created, "priority": 0,
                "executionInfo": {"startTime": self.created, "poolId": self.body["poolInfo"].get("poolId")}}


class Pool:
    def __init__(self, body):
        self.id, self.body, self.state, self.created = body["id"], body, "active", now()
        wanted = body.get("targetDedicatedNodes", 0) or 0
        if body.get("enableAutoScale"):
            bounds = re.search(r"(max|min)\((\d+), (?:min|max)\((\d+)", body.get("autoScaleFormula", ""))
            wanted = max(int(bounds.group(2)), int(bounds.group(3))) if bounds else 1
        for number in range(wanted):
            node = Node(self.id, number, body.get("taskSlotsPerNode") or 1)
            nodes[node.id] = node

    def nodes(self):
        return [node for node in nodes.values() if node.pool == self.id]

    def shown(self):
        return {**self.body, "url": f"{base}/pools/{self.id}", "eTag": "0x1", "creationTime": self.created, "lastModified": self.created,
                "state": self.state, "stateTransitionTime": self.created, "allocationState": "steady",
                "allocationStateTransitionTime": self.created, "currentDedicatedNodes": len(self.nodes()), "currentLowPriorityNodes": 0,
                "taskSlotsPerNode": self.body.get("taskSlotsPerNode") or 1}


def schedule():
    while True:
        time.sleep(0.05)
        with lock:
            for job in list(jobs.values()):
                if job.state != "active":
                    continue
                for task in job.tasks.values():
                    if task.state != "active":
                        continue
                    free = [node for node in nodes.values()
                            if node.pool == job.body["poolInfo"].get("poolId") and node.slots - node.used >= task.slots()]
                    if free:
                        task.node = max(free, key=lambda node: node.slots - node.used)
                        task.node.used += task.slots()
                        task.become("preparing")
                        threading.Thread(target=task.run, args=(task.life,), daemon=True).start()


def lose_node(name):
    node = nodes.pop(name)
    for job in jobs.values():
        for task in job.tasks.values():
            if task.node is node and task.state in ("preparing", "running"):
                task.life += 1
                if task.process:
                    kill_tree(task.process.pid)
                task.node, task.process = None, None
                task.info = {"retryCount": 0, "requeueCount": task.info["requeueCount"] + 1, "lastRequeueTime": now()}
                task.become("active")
    shutil.rmtree(node.root, ignore_errors=True)

    def back():
        time.sleep(1)
        with lock:
            nodes[name] = Node(node.pool, name.rpartition("-")[2], node.slots)

    threading.Thread(target=back, daemon=True).start()


def named(table, key, kind):
    for name, one in table.items():
        if name.lower() == key.lower():
            return one
    raise Refusal(404, f"{kind}NotFound", f"The specified {kind.lower()} does not exist.")


def taken_in(body, fields, table, kind):
    unknown = set(body) - fields
    if unknown:
        raise Refusal(400, "InvalidPropertyName", f"unknown: {sorted(unknown)}")
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", body.get("id") or ""):
        raise Refusal(400, "InvalidPropertyValue", "id")
    if any(name.lower() == body["id"].lower() for name in table):
        raise Refusal(409, f"{kind}Exists", f"The specified {kind.lower()} already exists.")


def add_task(job, body):
    taken_in(body, TASK_FIELDS, job.tasks, "Task")
    if job.state != "active":
        raise Refusal(409, "JobCompleted" if job.state == "completed" else "JobBeingDeleted")
    if not body.get("commandLine"):
        raise Refusal(400, "MissingRequiredProperty", "commandLine")
    task = Task(job, body)
    job.tasks[task.id] = task
    return task


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do(self):
        self.mute = False
        parts = urllib.parse.urlsplit(self.path)
        self.query = dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))
        path = parts.path
        length = int(self.headers.get("content-length") or 0)
        self.body = self.rfile.read(length)
        try:
            if path.startswith("/_control/"):
                answer = self.control(path[len("/_control/"):])
            elif path.startswith(f"/storage/{CONTAINER}/"):
                answer = self.storage(urllib.parse.unquote(path[len(f"/storage/{CONTAINER}/"):]))
            else:
                answer = self.batch(path)
        except Refusal as refusal:
            body = json.dumps({"odata.metadata": f"{base}/$metadata#error", "code": refusal.code,
                               "message": {"lang": "en-US", "value": f"{refusal.text}\nRequestId:{uuid.uuid4()}\nTime:{now()}"},
                               "values": []}).encode()
            if path.startswith("/storage/"):
                body = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{refusal.code}</Code><Message>{refusal.text}</Message></Error>'.encode()
            answer = (refusal.status, body, {"x-ms-error-code": refusal.code, "Content-Type": "application/xml" if path.startswith("/storage/") else "application/json;odata=minimalmetadata",
                                             **refusal.headers})
        if self.mute:
            self.close_connection = True
            return
        status, body, headers = answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do

    def control(self, verb):
        with lock:
            if verb == "busy":
                busy[0] = int(self.query["n"])
            elif verb == "deaf":
                deaf[self.query["path"]] = int(self.query["n"])
            elif verb == "lose-node":
                lose_node(self.query["id"])
            elif verb == "counts":
                return 200, json.dumps(counts).encode(), {}
            else:
                raise Refusal(404, "NoSuchControl")
        return 200, b"", {}

    # -- the container

    def storage(self, name):
        kind = f"blob {self.command}"
        counts[kind] = counts.get(kind, 0) + 1
        counts["blob bytes"] = counts.get("blob bytes", 0) + len(self.body)
        given = {key: value for key, value in self.query.items() if key in ("sv", "sp", "sig")}
        if given != dict(urllib.parse.parse_qsl(SIGNATURE)):
            raise Refusal(403, "AuthenticationFailed", "Signature did not match.")
        path = os.path.join(root, "container", *[urllib.parse.quote(part, safe="") for part in name.split("/")])
        if self.command == "PUT":
            if self.headers.get("x-ms-blob-type") != "BlockBlob":
                raise Refusal(400, "MissingRequiredHeader", "x-ms-blob-type")
            with lock:
                if self.headers.get("if-none-match") == "*" and path in blobs_made:
                    raise Refusal(409, "BlobAlreadyExists", "The specified blob already exists.")
                os.makedirs(os.path.dirname(path), exist_ok=True)
                draft = f"{path}.{uuid.uuid4().hex}"
                with open(draft, "wb") as file:
                    file.write(self.body)
                os.replace(draft, path)
                blobs_made.add(path)
            self.lost(name)
            return 201, b"", {"ETag": '"0x1"', "x-ms-request-id": uuid.uuid4().hex}
        if path not in blobs_made:
            raise Refusal(404, "BlobNotFound", "The specified blob does not exist.")
        if self.command == "DELETE":
            with lock:
                blobs_made.discard(path)
                os.remove(path)
            return 202, b"", {}
        content = open(path, "rb").read()
        headers = {"Content-Type": "application/octet-stream", "ETag": '"0x1"', "x-ms-blob-type": "BlockBlob",
                   "Last-Modified": formatdate(usegmt=True)}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("x-ms-range") or self.headers.get("range") or "")
        if wanted and self.command == "GET":
            start = int(wanted.group(1))
            part = content[start:int(wanted.group(2)) + 1 if wanted.group(2) else None]
            if start >= len(content):
                raise Refusal(416, "InvalidRange", "The range specified is invalid.")
            return 206, part, {**headers, "Content-Range": f"bytes {start}-{start + len(part) - 1}/{len(content)}"}
        return 200, content, {**headers, "Content-Length": str(len(content))}

    def lost(self, path):
        for end, left in deaf.items():
            if left > 0 and path.endswith(end):
                deaf[end] -= 1
                self.mute = True

    # -- Batch

    def authenticate(self, path):
        given = self.headers.get("authorization") or ""
        if given == f"Bearer {TOKEN}":
            return
        text = self.command + "\n" + "".join((self.headers.get(name) or "") + "\n" for name in SIGNED)
        for name, value in sorted((name.lower(), value) for name, value in self.headers.items() if name.lower().startswith("ocp-")):
            text += f"{name}:{value}\n"
        text += f"/{ACCOUNT}{path}"
        for name in sorted(self.query):
            if self.query[name]:
                text += f"\n{name.lower()}:{self.query[name]}"
        right = base64.b64encode(hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()).decode()
        if not hmac.compare_digest(given, f"SharedKey {ACCOUNT}:{right}"):
            raise Refusal(403, "AuthenticationFailed",
                          "Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly.")

    def batch(self, path):
        short = re.sub(r"/(jobs|pools|tasks)/[^/]+", r"/\1/*", path)
        kind = f"{self.command} {re.sub(r'/files/.*', '/files/*', short)}"
        counts[kind] = counts.get(kind, 0) + 1
        with lock:
            if busy[0] > 0:
                busy[0] -= 1
                raise Refusal(503, "ServerBusy", "The server is busy.", {"Retry-After": "1"})
        self.authenticate(path)
        if self.query.get("api-version") != API_VERSION:
            raise Refusal(400, "InvalidQueryParameterValue", "api-version")
        if self.body and "odata=minimalmetadata" not in (self.headers.get("content-type") or ""):
            raise Refusal(415, "UnsupportedMediaType", "content-type")
        body = json.loads(self.body) if self.body else {}
        parts = [urllib.parse.unquote(part) for part in path.strip("/").split("/")]
        with lock:
            answer = self.route(self.command, parts, body)
        self.lost(path)
        return answer

    def json(self, value, status=200):
        return status, json.dumps(value).encode(), {"Content-Type": "application/json;odata=minimalmetadata"}

    def done(self, status):
        return status, b"", {"ETag": "0x1", "Last-Modified": formatdate(usegmt=True), "DataServiceId": base,
                             "request-id": str(uuid.uuid4())}

    def listed(self, path, items):
        condition = re.fullmatch(r"(\w+) eq '([^']*)'", self.query.get("$filter", ""))
        if condition:
            items = [item for item in items if item.get(condition.group(1)) == condition.group(2)]
        elif self.query.get("$filter"):
            raise Refusal(400, "InvalidQueryParameterValue", "$filter")
        skip = int(self.query.get("$skiptoken", 0))
        size = min(int(self.query.get("maxresults", 1000)), PAGE)
        select = self.query.get("$select")
        page = items[skip:skip + size]
        if select:
            page = [{name: item[name] for name in select.split(",") if name in item} for item in page]
        value = {"odata.metadata": f"{base}/$metadata#{path}", "value": page}
        if skip + size < len(items):
            query = {**self.query, "$skiptoken": str(skip + size)}
            value["odata.nextLink"] = f"{base}{path}?{urllib.parse.urlencode(query)}"
        return self.json(value)

    def route(self, method, parts, body):
        match (method, *parts):
            case ("POST", "pools"):
                taken_in(body, POOL_FIELDS, pools, "Pool")
                pools[body["id"]] = Pool(body)
                return self.done(201)
            case ("GET", "pools"):
                return self.listed("/pools", [pool.shown() for pool in pools.values()])
            case ("GET", "pools", name):
                return self.json(named(pools, name, "Pool").shown())
            case ("GET", "pools", name, "nodes"):
                found = named(pools, name, "Pool").nodes()
                return self.listed(f"/pools/{name}/nodes", [
                    {"id": node.id, "state": "running" if node.used else "idle", "isDedicated": True, "runningTasksCount": node.used}
                    for node in found])
            case ("POST", "pools", name, "resize"):
                named(pools, name, "Pool")
                return self.done(202)
            case ("DELETE", "pools", name):
                pool = named(pools, name, "Pool")
                for node in pool.nodes():
                    lose = nodes.pop(node.id)
                    shutil.rmtree(lose.root, ignore_errors=True)
                pools.pop(pool.id)
                return self.done(202)
            case ("GET", "nodecounts"):
                names = ["creating", "idle", "offline", "preempted", "rebooting", "reimaging", "running", "starting",
                         "startTaskFailed", "leavingPool", "unknown", "unusable", "waitingForStartTask", "deallocated",
                         "deallocating", "upgradingOS", "total"]
                rows = []
                for pool in pools.values():
                    states = dict.fromkeys(names, 0)
                    for node in pool.nodes():
                        states["running" if node.used else "idle"] += 1
                        states["total"] += 1
                    rows.append({"poolId": pool.id, "dedicated": states, "lowPriority": dict.fromkeys(names, 0)})
                return self.listed("/nodecounts", rows)
            case ("POST", "jobs"):
                taken_in(body, JOB_FIELDS, jobs, "Job")
                named(pools, body["poolInfo"].get("poolId", ""), "Pool")
                jobs[body["id"]] = Job(body)
                return self.done(201)
            case ("GET", "jobs"):
                return self.listed("/jobs", [job.shown() for job in jobs.values()])
            case ("GET", "jobs", name):
                return self.json(named(jobs, name, "Job").shown())
            case ("DELETE", "jobs", name):
                job = named(jobs, name, "Job")
                job.state = "deleting"
                for task in job.tasks.values():
                    task.remove()
                jobs.pop(job.id)
                return self.done(202)
            case ("POST", "jobs", name, "terminate"):
                job = named(jobs, name, "Job")
                job.state = "completed"
                for task in job.tasks.values():
                    if task.state != "completed":
                        task.terminate()
                return self.done(202)
            case ("POST", "jobs", name, "tasks"):
                add_task(named(jobs, name, "Job"), body)
                return self.done(201)
            case ("POST", "jobs", name, "addtaskcollection"):
                job, results = named(jobs, name, "Job"), []
                if len(body["value"]) > 100:
                    raise Refusal(413, "RequestBodyTooLarge")
                for one in body["value"]:
                    try:
                        task = add_task(job, one)
                        results.append({"status": "success", "taskId": task.id, "eTag": task.etag, "lastModified": task.created,
                                        "location": f"{base}/jobs/{job.id}/tasks/{task.id}"})
                    except Refusal as refusal:
                        results.append({"status": "clienterror", "taskId": one.get("id"),
                                        "error": {"code": refusal.code, "message": {"lang": "en-US", "value": refusal.text}, "values": []}})
                return self.json({"odata.metadata": f"{base}/$metadata#taskaddresult", "value": results})
            case ("GET", "jobs", name, "tasks"):
                job = named(jobs, name, "Job")
                return self.listed(f"/jobs/{name}/tasks", [task.shown() for task in job.tasks.values()])
            case ("GET", "jobs", name, "taskcounts"):
                states = [task.state for task in named(jobs, name, "Job").tasks.values()]
                row = {"active": states.count("active"), "running": states.count("running") + states.count("preparing"),
                       "completed": states.count("completed"), "succeeded": 0, "failed": 0}
                return self.json({"taskCounts": row, "taskSlotCounts": row})
            case (_, "jobs", name, "tasks", id, *rest):
                task = named(named(jobs, name, "Job").tasks, id, "Task")
                return self.of_task(method, task, rest)
        raise Refusal(404, "ResourceNotFound", "The specified resource does not exist.")

    def of_task(self, method, task, rest):
        match (method, *rest):
            case ("GET",):
                return self.json(task.shown())
            case ("DELETE",):
                task.remove()
                task.job.tasks.pop(task.id)
                return self.done(200)
            case ("POST", "terminate"):
                task.terminate()
                return self.done(204)
            case (_, "files", *below):
                if not task.node or not os.path.isdir(task.folder()):
                    raise Refusal(409, "TaskFilesUnavailable", "The task files are not available.")
                return self.file(method, task, below)
        raise Refusal(404, "ResourceNotFound", "The specified resource does not exist.")

    def file(self, method, task, below):
        folder = task.folder()
        if not below:
            rows = []
            for place, folders, files in os.walk(folder):
                if place != folder and self.query.get("recursive") != "true":
                    break
                for name in folders + files:
                    path = os.path.join(place, name)
                    stat = os.lstat(path)
                    directory = os.path.isdir(path)
                    shown = {"name": os.path.relpath(path, folder), "isDirectory": directory,
                             "url": f"{base}/jobs/{task.job.id}/tasks/{task.id}/files/{os.path.relpath(path, folder)}"}
                    if not directory:
                        shown["properties"] = {"lastModified": now(), "creationTime": now(), "contentLength": str(stat.st_size),
                                               "contentType": "application/octet-stream", "fileMode": oct(stat.st_mode)}
                    rows.append(shown)
            return self.listed(f"/jobs/{task.job.id}/tasks/{task.id}/files", rows)
        path = os.path.normpath(os.path.join(folder, *below))
        if not path.startswith(folder + "/") or not os.path.isfile(path):
            raise Refusal(404, "FileNotFound", "The specified file does not exist.")
        size = os.path.getsize(path)
        headers = {"Content-Type": "application/octet-stream", "Last-Modified": formatdate(usegmt=True), "ocp-creation-time": formatdate(usegmt=True),
                   "ocp-batch-file-isdirectory": "false", "ocp-batch-file-mode": "0o100644",
                   "ocp-batch-file-url": f"{base}/jobs/{task.job.id}/tasks/{task.id}/files/{'/'.join(below)}"}
        if method == "HEAD":
            return 200, b"", {**headers, "Content-Length": str(size)}
        start, end = 0, size
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("ocp-range") or "")
        if wanted:
            start, end = int(wanted.group(1)), min(size, int(wanted.group(2)) + 1 if wanted.group(2) else size)
            if start >= size and start > 0:
                raise Refusal(416, "InvalidRange", "The range specified is invalid for the current size of the resource.")
        with open(path, "rb") as file:
            file.seek(start)
            return 200, file.read(end - start), headers


def main():
    global root, base
    root = os.path.abspath(sys.argv[1])
    number, slots = (int(word) for word in (sys.argv[2:4] + ["2", "4"][len(sys.argv) - 2:]))
    os.makedirs(os.path.join(root, "container"), exist_ok=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    base = f"http://127.0.0.1:{server.server_address[1]}"
    pools["pool"] = Pool({"id": "pool", "vmSize": "standard_d2_v2", "targetDedicatedNodes": number, "taskSlotsPerNode": slots,
                          "virtualMachineConfiguration": {"imageReference": {"publisher": "p", "offer": "o", "sku": "s"},
                                                          "nodeAgentSKUId": "batch.node.ubuntu 22.04"}})
    threading.Thread(target=schedule, daemon=True).start()

    def end(*_):
        for job in jobs.values():
            for task in job.tasks.values():
                if task.process and task.process.poll() is None:
                    kill_tree(task.process.pid)
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    with open(os.path.join(root, "env.new"), "w") as file:
        file.write(f"URL={base}\nACCOUNT={ACCOUNT}\nKEY={KEY}\nTOKEN={TOKEN}\nCONTAINER={base}/storage/{CONTAINER}\n"
                   f"SIGNATURE={SIGNATURE}\nPOOL=pool\n")
    os.replace(os.path.join(root, "env.new"), os.path.join(root, "env"))
    server.serve_forever()


main()
