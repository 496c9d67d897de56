/** D1, D2, D4, D5 over a `file` replica. */
import { filePlace } from "../harness/replication.ts";
import { registerExchange } from "./register-exchange.ts";

registerExchange("file", async (scratch, id) => filePlace(scratch.path(id)));
