/** The administrator's calls that set the stage; what is measured goes through the cheap client instead. */
import { Client, credentials } from "@grpc/grpc-js";
import { call } from "../../src/cli/rpc-client.ts";
import { AgentService } from "../../src/gen/spire/api/server/agent/v1/agent.ts";
import { BatchSetFederatedBundleRequest, BundleService } from "../../src/gen/spire/api/server/bundle/v1/bundle.ts";
import {
  BatchCreateEntryRequest,
  BatchDeleteEntryRequest,
  BatchUpdateEntryRequest,
  EntryService,
} from "../../src/gen/spire/api/server/entry/v1/entry.ts";
import type { Bundle } from "../../src/gen/spire/api/types/bundle.ts";
import { Entry } from "../../src/gen/spire/api/types/entry.ts";
import type { SPIFFEID } from "../../src/gen/spire/api/types/spiffeid.ts";

/** An entry as the bench makes them. */
export interface NewEntry {
  readonly id: SPIFFEID;
  readonly parent: SPIFFEID;
  /** `type:value`. */
  readonly selector: string;
  /** Trust domains. */
  readonly federatesWith?: readonly string[];
}

/** An entry's message. */
export function entryOf(entry: NewEntry): Entry {
  const colon = entry.selector.indexOf(":");
  return Entry.fromPartial({
    spiffeId: entry.id,
    parentId: entry.parent,
    selectors: [{ type: entry.selector.slice(0, colon), value: entry.selector.slice(colon + 1) }],
    federatesWith: [...(entry.federatesWith ?? [])],
  });
}

/** A SPIFFE ID of the bench's trust domain. */
export function idOf(path: string): SPIFFEID {
  return { trustDomain: "example.org", path };
}

/** The administrator of one server. */
export class Admin implements Disposable {
  readonly #client: Client;

  constructor(socket: string) {
    this.#client = new Client(`unix:${socket}`, credentials.createInsecure(), {
      "grpc.max_receive_message_length": -1,
      "grpc.default_authority": "localhost",
    });
  }

  /** Makes entries; their IDs in order. Throws when one was refused. */
  async createEntries(entries: readonly NewEntry[], aCall: number): Promise<string[]> {
    const ids: string[] = [];
    for (let at = 0; at < entries.length; at += aCall) {
      const { results } = await call(
        this.#client,
        EntryService.batchCreateEntry,
        BatchCreateEntryRequest.fromPartial({ entries: entries.slice(at, at + aCall).map(entryOf) }),
      );
      for (const { status, entry } of results) {
        if (status?.code !== 0 || entry === undefined) throw new Error(`entry refused: ${status?.message}`);
        ids.push(entry.id);
      }
    }
    return ids;
  }

  /** Gives entries other DNS names, so that their SVIDs are issued anew. */
  async renameEntries(ids: readonly string[], dnsNames: readonly string[]): Promise<void> {
    const { results } = await call(
      this.#client,
      EntryService.batchUpdateEntry,
      BatchUpdateEntryRequest.fromPartial({
        entries: ids.map((id) => ({ id, dnsNames: [...dnsNames] })),
        inputMask: { dnsNames: true },
      }),
    );
    const refused = results.find(({ status }) => status?.code !== 0);
    if (refused !== undefined) throw new Error(`entry not changed: ${refused.status?.message}`);
  }

  /** Takes over bundles of other trust domains. */
  async setBundles(bundles: readonly Bundle[]): Promise<void> {
    const { results } = await call(
      this.#client,
      BundleService.batchSetFederatedBundle,
      BatchSetFederatedBundleRequest.fromPartial({ bundle: [...bundles] }),
    );
    const refused = results.find(({ status }) => status?.code !== 0);
    if (refused !== undefined) throw new Error(`bundle refused: ${refused.status?.message}`);
  }

  /** Removes entries. */
  async deleteEntries(ids: readonly string[]): Promise<void> {
    const { results } = await call(
      this.#client,
      EntryService.batchDeleteEntry,
      BatchDeleteEntryRequest.fromPartial({ ids: [...ids] }),
    );
    const refused = results.find(({ status }) => status?.code !== 0);
    if (refused !== undefined) throw new Error(`entry not removed: ${refused.status?.message}`);
  }

  /** Makes join tokens. */
  async createTokens(count: number): Promise<string[]> {
    const tokens: string[] = [];
    while (tokens.length < count) {
      const { value } = await call(this.#client, AgentService.createJoinToken, {
        ttl: 3_600,
        token: "",
        agentId: undefined,
      });
      tokens.push(value);
    }
    return tokens;
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}
