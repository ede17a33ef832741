/** What a peer waits for while its messages are taken. */
import { expect, test } from "vitest";
import { Incoming } from "../../../src/lib/rpc/incoming.ts";

test("a message that cannot be decoded is taken all the same, so that its sender does not wait for ever", async () => {
  const incoming = new Incoming<never>(() => {
    throw new Error("no message");
  });
  const sent = incoming.message(new Uint8Array());
  await expect(incoming[Symbol.asyncIterator]().next()).rejects.toThrow("no message");
  await sent;
});
