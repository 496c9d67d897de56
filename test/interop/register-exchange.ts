/** Registers the exchange tests for one kind of place. */
import { test } from "node:test";
import { peer, programUnderTest } from "../harness/program.ts";
import { Random } from "../harness/random.ts";
import type { Place } from "../harness/replication.ts";
import { seed } from "../harness/scenario.ts";
import { Scratch } from "../harness/scratch.ts";
import { alternate, compactOurFiles, exchangeDatabases, writeAndReadBack } from "./exchange.ts";
import type { Exchange } from "./exchange.ts";

const turns = 20;

/** `makePlace` gives an empty place that nobody else uses. */
export function registerExchange(
  kind: string,
  makePlace: (scratch: Scratch, id: string) => Promise<Place>,
): void {
  let count = 0;
  const exchangeTest = (name: string, body: (exchange: Exchange) => Promise<void>): void => {
    void test(`${name} (${kind}, seed ${seed})`, { timeout: 120_000 }, async () => {
      using scratch = new Scratch(name);
      const place = await makePlace(scratch, `exchange-${count++}`);
      await body({
        ours: programUnderTest(),
        peer: peer(),
        scratch,
        place,
        random: new Random(seed),
      });
    });
  };

  for (const settings of exchangeDatabases) {
    const words = `page size ${settings.pageSize}, auto_vacuum ${settings.autoVacuum}`;
    exchangeTest(`D2 the peer writes, both restore alike: ${words}`, (exchange) =>
      writeAndReadBack(exchange, exchange.peer, settings),
    );
    exchangeTest(`D1 we write, both restore alike: ${words}`, (exchange) =>
      writeAndReadBack(exchange, exchange.ours, settings),
    );
  }
  for (const checkpoints of ["none", "many"] as const) {
    const words = `D4 ${turns} hand-overs without a needless full image, checkpoints: ${checkpoints}`;
    exchangeTest(`${words}, we begin`, (exchange) => alternate(exchange, turns, checkpoints));
    exchangeTest(`${words}, the peer begins`, (exchange) =>
      alternate({ ...exchange, ours: exchange.peer, peer: exchange.ours }, turns, checkpoints),
    );
  }
  exchangeTest("D5 the peer compacts and retires our files, we go on", compactOurFiles);
}
