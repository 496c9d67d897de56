import assert from "node:assert/strict";
import { test } from "node:test";
import { image, increment, owner, publish, publishRun } from "../../test/harness/local-files.ts";
import { Scratch } from "../../test/harness/scratch.ts";
import { findLocalImage, isFullImage } from "./local-image.ts";
import { LocalLTX } from "./local-ltx.ts";

test("isFullImage() tells a file with every page from one that lacks some", () => {
  using scratch = new Scratch("image");
  const local = LocalLTX.open(scratch.path("meta"), owner);
  publish(local, image(1n));
  publish(
    local,
    increment(2n, {
      pages: new Map([
        [1, 1],
        [2, 2],
        [4, 4],
      ]),
    }),
  );
  publish(local, increment(3n, { commit: 1 }));
  assert.deepEqual(
    [1n, 2n, 3n].map((txid) => isFullImage(local.read(txid))),
    [true, false, true],
  );
});

test("findLocalImage() finds the newest one, or none", () => {
  using scratch = new Scratch("find-image");
  const local = LocalLTX.open(scratch.path("meta"), owner);
  assert.equal(findLocalImage(local), 0n);
  publishRun(local, 4n);
  publish(local, image(5n));
  publish(local, increment(6n));
  assert.equal(findLocalImage(local), 5n);
  local.trim(6n);
  assert.equal(findLocalImage(local), 0n);
});
