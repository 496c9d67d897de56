import assert from "node:assert/strict";
import { test } from "node:test";
import { isLocalHistoryBroken, LocalDiskError, localDiskError } from "./local-disk-error.ts";

const cases = [
  { code: "ENOSPC", kind: "full", broken: false },
  { code: "EDQUOT", kind: "full", broken: false },
  { code: "EFBIG", kind: "full", broken: false },
  { code: "ENOENT", kind: "missing", broken: true },
  { code: "EACCES", kind: "io", broken: false },
  { code: "EMFILE", kind: "io", broken: false },
  { code: "EIO", kind: "io", broken: false },
];
for (const { code, kind, broken } of cases) {
  test(`localDiskError() makes ${code} "${kind}"${broken ? ", a reason for a reset" : ""} (ER1, ER4, ER6)`, () => {
    const cause = Object.assign(new Error("system call failed"), { code });
    const error = localDiskError(cause, {
      action: "sync",
      path: "/meta/ltx/0/x.ltx.tmp",
      txid: 10n,
    });
    assert.deepEqual([error.kind, error.cause, isLocalHistoryBroken(error)], [kind, cause, broken]);
    assert.match(
      error.message,
      /^Cannot sync "\/meta\/ltx\/0\/x\.ltx\.tmp" \(TXID 000000000000000a\): \S/,
    );
    assert.equal(error.hint !== undefined, kind !== "io");
  });
}

test("localDiskError() leaves what is typed already as it is", () => {
  const error = new LocalDiskError("corrupt", "bad", { action: "read", path: "/x" });
  assert.equal(localDiskError(error, { action: "open", path: "/y" }), error);
});
