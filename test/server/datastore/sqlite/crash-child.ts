/** Writes pairs of entries, a pair a transaction, and prints the number of each pair once it is acknowledged, until killed or refused. */
import { writeSync } from "node:fs";
import { systemClock } from "../../../../src/lib/clock.ts";
import { errorCode } from "../../../../src/lib/errors.ts";
import { openSqliteDataStore } from "../../../../src/server/datastore/sqlite/datastore.ts";
import { entry } from "../../../fakes/entries.ts";

const [path = "", first = "0", hint = ""] = process.argv.slice(2);
const store = await openSqliteDataStore({ path, clock: systemClock });

async function pair(number: number): Promise<void> {
  await store.transaction(async (tx) => {
    await tx.entries.create(entry(`${number}-a`, { hint }));
    await tx.entries.create(entry(`${number}-b`, { hint }));
    await tx.caJournal.save(new TextEncoder().encode(String(number)));
  });
  writeSync(1, `${number}\n`);
}

try {
  for (let number = Number(first); ; number += 4) {
    await Promise.all([pair(number), pair(number + 1), pair(number + 2), pair(number + 3)]);
  }
} catch (error) {
  writeSync(1, `${errorCode(error)}\n`);
  process.exit(3);
}
