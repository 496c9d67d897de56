/** Requests and commands that the real Litestream's daemon and ours must answer alike. Each may depend on those before it. */

export interface ControlRequest {
  readonly method: string;
  /** `$DIR` is the folder of the daemon's databases. */
  readonly path: string;
  readonly body?: string;
  /** Ours answers otherwise on purpose: why. */
  readonly differs?: string;
}

function get(path: string): ControlRequest {
  return { method: "GET", path };
}

function post(path: string, body: string, differs?: string): ControlRequest {
  return { method: "POST", path, body, ...(differs === undefined ? {} : { differs }) };
}

const bodies = (endpoint: string): readonly ControlRequest[] => [
  post(endpoint, ""),
  post(endpoint, "{"),
  post(endpoint, "x"),
  post(endpoint, "[]"),
  post(endpoint, "1"),
  post(endpoint, '{"path":1}'),
  post(endpoint, '{"path":true}'),
  post(endpoint, "{}"),
  post(endpoint, "null"),
  post(endpoint, '{"path":""}'),
];

export const CONTROL_REQUESTS: readonly ControlRequest[] = [
  get("/list"),
  get("/info"),
  { method: "HEAD", path: "/list" },
  { method: "HEAD", path: "/start" },
  { method: "POST", path: "/list" },
  { method: "DELETE", path: "/info" },
  { method: "PUT", path: "/sync" },
  get("/start"),
  get("/register"),
  get("/nope"),
  get("/"),
  post("/nope", "{}"),
  get("/txid"),
  get("/txid?path=/no"),
  get("/txid?path=$DIR/app.db"),
  get("/debug/sync-status?path=/no"),
  ...bodies("/start"),
  ...bodies("/stop"),
  ...bodies("/sync"),
  ...bodies("/register"),
  ...bodies("/unregister"),
  post("/stop", '{"path":"/x","timeout":"a"}'),
  post("/stop", '{"path":"/x","timeout":1.5}'),
  post("/start", '{"path":"/<no>&"}'),
  post("/stop", '{"path":"/no"}'),
  post("/sync", '{"path":"/no"}'),
  post("/sync", '{"path":"/no","wait":"x"}'),
  post("/unregister", '{"path":"/no"}'),
  post("/sync", '{"path":"$DIR/app.db"}'),
  post("/sync", '{"path":"$DIR/app.db","wait":true}'),
  post("/sync", '{"PATH":"$DIR/app.db","unknown":1} trailing'),
  post("/stop", '{"path":"$DIR/app.db"}'),
  post("/stop", '{"path":"$DIR/app.db"}'),
  post("/sync", '{"path":"$DIR/app.db"}'),
  get("/list"),
  get("/txid?path=$DIR/app.db"),
  post("/start", '{"path":"$DIR/app.db"}'),
  post("/start", '{"path":"$DIR/app.db","timeout":5}'),
  post("/register", '{"path":"$DIR/other.db"}'),
  post("/register", '{"path":"$DIR/other.db","replica_url":"file://$DIR/other"}'),
  post("/register", '{"path":"$DIR/other.db","replica_url":"file://$DIR/other"}'),
  post(
    "/register",
    '{"path":"$DIR/other.db","replica_url":"file://$DIR/elsewhere"}',
    "Another destination is a conflict, not a success",
  ),
  post("/register", '{"path":"$DIR/missing.db","replica_url":"file://$DIR/missing"}'),
  post("/sync", '{"path":"$DIR/missing.db"}'),
  post("/sync", '{"path":"$DIR/missing.db","wait":true,"timeout":1}'),
  post("/unregister", '{"path":"$DIR/missing.db"}'),
  post("/unregister", '{"path":"$DIR/other.db"}'),
  post("/unregister", '{"path":"$DIR/other.db"}'),
];

export const CONTROL_COMMANDS: readonly string[] = [
  "info",
  "info -json",
  "list",
  "list -json",
  "info x",
  "list x",
  "list -timeout 0",
  "info -timeout -1",
  "sync",
  "sync a b",
  "sync -timeout 0 $DIR/app.db",
  "sync $DIR/app.db",
  "sync -json $DIR/app.db",
  "sync -wait $DIR/app.db",
  "sync -wait -json $DIR/app.db",
  "sync /no",
  "stop",
  "stop a b",
  "stop /no",
  "stop $DIR/app.db",
  "stop -json $DIR/app.db",
  "sync $DIR/app.db",
  "list",
  "start",
  "start /no",
  "start $DIR/app.db",
  "start -json $DIR/app.db",
  "register",
  "register $DIR/third.db",
  "register -timeout 0 -replica file://$DIR/t $DIR/third.db",
  "register -replica file://$DIR/t $DIR/third.db",
  "register -json -replica file://$DIR/t $DIR/third.db",
  "unregister",
  "unregister -timeout 0 $DIR/third.db",
  "unregister -dry-run $DIR/third.db",
  "unregister $DIR/third.db",
  "unregister -json $DIR/third.db",
];
