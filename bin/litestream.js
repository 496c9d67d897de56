#!/usr/bin/env node
// Written for the oldest Node there is: whatever is on PATH gets a sentence instead of a syntax error.
"use strict";
var spawn = require("child_process").spawn;

var version = process.versions.node.split(".");
var major = Number(version[0]);
var minor = Number(version[1]);
if (major > 24 || (major === 24 && minor >= 15)) {
  require("../dist/program/litestream.js");
} else {
  runBundledNode(findBundledNode());
}

/** The Node of the npm package "node" beside this one, if it is there. */
function findBundledNode() {
  try {
    return require.resolve("node/bin/node");
  } catch (error) {
    if (error.code === "MODULE_NOT_FOUND") return undefined;
    throw error;
  }
}

/** Runs this script again with the newer Node. */
function runBundledNode(node) {
  if (node === undefined) {
    process.stderr.write(
      "Error: litestream needs Node 24.15 or newer, this is " +
        process.versions.node +
        ": " +
        process.execPath +
        "\nHint: Install a newer Node, or run: npx -p node@24 -p litestream-ts litestream …\n",
    );
    process.exitCode = 1;
    return;
  }
  var child = spawn(node, [__filename].concat(process.argv.slice(2)), { stdio: "inherit" });
  ["SIGINT", "SIGTERM", "SIGHUP"].forEach(function (signal) {
    process.on(signal, function () {
      // A terminal sends SIGINT to the child as well; only what comes from elsewhere is passed on.
      if (signal !== "SIGINT" || !process.stdin.isTTY) child.kill(signal);
    });
  });
  child.on("error", function (error) {
    process.stderr.write("Error: Cannot start " + node + ": " + error.message + "\n");
    process.exitCode = 1;
  });
  child.on("exit", function (code, signal) {
    if (signal) {
      process.removeAllListeners(signal);
      process.kill(process.pid, signal);
    } else {
      process.exitCode = code === null ? 1 : code;
    }
  });
}
