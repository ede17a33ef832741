import { describe, expect, test } from "vitest";
import { JoinTokenServerAttestor, joinTokenAgentId } from "../../../src/attestors/join-token/server.ts";
import { id, TD } from "../../fakes/entries.ts";

/** A store in which tokens are as the test says. */
function nodes(outcome: "consumed" | "expired" | "unknown") {
  const asked: string[] = [];
  const consumeJoinToken = async (token: string): Promise<typeof outcome> => {
    asked.push(token);
    return outcome;
  };
  return { asked, nodes: { consumeJoinToken } };
}

const attestor = new JoinTokenServerAttestor(TD);
const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));

describe("the join token attestor", () => {
  test("names the agent after the token that it spent", async () => {
    const store = nodes("consumed");
    expect(await attestor.attest({ payload: bytes("my.token-1_A"), ...store })).toEqual({
      agentId: id("/spire/agent/join_token/my.token-1_A"),
      selectors: [],
      canReattest: false,
    });
    expect(store.asked).toEqual(["my.token-1_A"]);
    expect(attestor.name).toBe("join_token");
  });

  test.each([
    ["unknown", "failed to attest: join token does not exist or has already been used"],
    ["expired", "join token expired"],
  ] as const)("refuses a token that is %s", async (outcome, publicMessage) => {
    const refused = attestor.attest({ payload: bytes("token"), ...nodes(outcome) });
    await expect(refused).rejects.toMatchObject({ code: "INVALID_ARGUMENT", publicMessage });
  });

  test.each([
    ["empty", bytes("")],
    ["too long", bytes("x".repeat(256))],
    ["no UTF-8", new Uint8Array([0xff, 0xfe])],
    ["not part of an ID", bytes("a b")],
    ["more than one segment", bytes("a/b")],
    ["a dot segment", bytes("..")],
    ["with a byte order mark", bytes("\u{feff}token")],
    ["with a zero byte", bytes("token\0")],
    ["with a newline", bytes("token\n")],
  ])("does not ask the store for a payload that is %s", async (_what, payload) => {
    const store = nodes("consumed");
    const refused = attestor.attest({ payload, ...store });
    await expect(refused).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      publicMessage: "failed to attest: join token does not exist or has already been used",
    });
    expect(store.asked).toEqual([]);
  });

  test("takes a store that fails for a failure of ours, not of the token", async () => {
    const consumeJoinToken = (): Promise<never> => Promise.reject(new Error("disk"));
    await expect(attestor.attest({ payload: bytes("token"), nodes: { consumeJoinToken } })).rejects.toThrow("disk");
  });
});

test("only what is one segment of a path names an agent", () => {
  expect(joinTokenAgentId(TD, "abc")).toBe(id("/spire/agent/join_token/abc"));
  for (const token of ["", "a/b", ".", "..", "ä", "a b", "%61"]) expect(joinTokenAgentId(TD, token)).toBeUndefined();
});
