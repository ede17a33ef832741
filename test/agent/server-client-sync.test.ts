/** The agent's side of `SyncAuthorizedEntries`, message by message, against servers that keep to it and servers that do not. */
import { describe, expect, test } from "vitest";
import { syncEntries } from "../../src/agent/server-client-sync.ts";
import {
  type SyncAuthorizedEntriesRequest,
  SyncAuthorizedEntriesResponse,
} from "../../src/gen/spire/api/server/entry/v1/entry.ts";
import { fakeEntry } from "../fakes/spire-server.ts";
import { authorized, TD } from "./entries.ts";

type Message = Parameters<typeof SyncAuthorizedEntriesResponse.fromPartial>[0];

/** Plays the server's messages in order and remembers the agent's. */
function script(...messages: Message[]) {
  const sent: SyncAuthorizedEntriesRequest[] = [];
  const queue = messages.map((message) => SyncAuthorizedEntriesResponse.fromPartial(message));
  return {
    sent,
    conversation: {
      send: (request: SyncAuthorizedEntriesRequest) => void sent.push(request),
      next: async () => queue.shift(),
    },
  };
}

const entry = (id: string) => fakeEntry(TD, id, `/${id}`, ["unix:uid:1"]);
const revision = (id: string, revisionNumber = 0n, createdAt = 1n) => ({ id, revisionNumber, createdAt });
const known = new Map(["a", "b", "c"].map((id) => [id, authorized(id, ["unix:uid:1"])]));

describe("syncEntries", () => {
  test("a small set comes whole; the first message asks by mask alone", async () => {
    const { sent, conversation } = script({ entries: [entry("a"), entry("b")] });
    const outcome = await syncEntries(conversation, known);
    expect(outcome.entries.map(({ id }) => id)).toEqual(["a", "b"]);
    expect(outcome.unchanged).toEqual([]);
    expect(sent).toHaveLength(1);
    expect(sent[0]?.ids).toEqual([]);
    expect(sent[0]?.outputMask).toMatchObject({
      revisionNumber: true,
      spiffeId: true,
      parentId: false,
      dnsNames: false,
    });
  });

  test("an empty set is an answer", async () => {
    const { conversation } = script({});
    expect(await syncEntries(conversation, known)).toEqual({ entries: [], unchanged: [] });
  });

  test("of a large set only what is new or changed is asked for, by sorted pages of the server's size", async () => {
    const { sent, conversation } = script(
      { entryRevisions: [revision("a"), revision("z")], more: true },
      { entryRevisions: [revision("b", 1n), revision("c", 0n, 2n)], more: true },
      { entryRevisions: [revision("y"), revision("a")] },
      { entries: [entry("b")], more: true },
      { entries: [entry("c")] },
      { entries: [entry("y")] },
    );
    const outcome = await syncEntries(conversation, known);
    expect(sent.slice(1).map(({ ids }) => ids)).toEqual([
      ["b", "c"],
      ["y", "z"],
    ]);
    expect(outcome.unchanged).toEqual(["a"]);
    // "z" was deleted in the meantime.
    expect(outcome.entries.map(({ id }) => id)).toEqual(["b", "c", "y"]);
  });

  test("a server that sends no creation times is believed by revisions", async () => {
    const { conversation } = script({ entryRevisions: [revision("a", 0n, 0n)] });
    expect((await syncEntries(conversation, known)).unchanged).toEqual(["a"]);
  });

  test.each<[string, Message[]]>([
    ["no message", []],
    ["revisions and entries in one", [{ entries: [entry("a")], entryRevisions: [revision("b")] }]],
    ["entries after revisions", [{ entryRevisions: [revision("z")], more: true }, { entries: [entry("z")] }]],
    ["revisions after entries", [{ entries: [entry("a")], more: true }, { entryRevisions: [revision("b")] }]],
    [
      "revisions when entries were asked for",
      [{ entryRevisions: [revision("z")] }, { entryRevisions: [revision("z")] }],
    ],
    ["an entry that nobody asked for", [{ entryRevisions: [revision("z")] }, { entries: [entry("q")] }]],
    ["an entry twice", [{ entryRevisions: [revision("z")] }, { entries: [entry("z"), entry("z")] }]],
    ["an end in the middle", [{ entryRevisions: [revision("z")], more: true }]],
    ["an end before the entries", [{ entryRevisions: [revision("z")] }]],
    ["nothing, and more of it", [{ entryRevisions: [revision("z")] }, { more: true }, { more: true }]],
    ["entries without end", [{ entries: [entry("a")], more: true }, { more: true }]],
  ])("breaks off: %s", async (_name, messages) => {
    await expect(syncEntries(script(...messages).conversation, known)).rejects.toMatchObject({ code: "INTERNAL" });
  });
});
