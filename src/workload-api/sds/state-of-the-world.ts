/** `StreamSecrets` and `FetchSecrets`: each answer has all that was asked for. */
import { type DiscoveryRequest, DiscoveryResponse } from "../../gen/envoy/service/discovery/v3/discovery.ts";
import { publicError } from "../../lib/errors.ts";
import type { WorkloadUpdate } from "../ports.ts";
import type { Complaint, Conversation, ConversationDeps } from "./conversation.ts";
import { decodeDiscovery } from "./requests.ts";
import { type Validator, validatorFor } from "./validator.ts";

/** Characters of the names that are told to be refused: they go to the log as well. */
const MAX_LIST = 900;

/** One stream. Versions count the updates that changed what was asked for; a nonce stands for one answer. */
export class StateOfTheWorld implements Conversation {
  readonly #deps: ConversationDeps;
  #names: ReadonlySet<string> | undefined;
  #validator: Validator;
  #typeUrl = "";
  /** The answer that the client's next request is about; empty before the first. */
  #nonce = "";
  #version = 0;
  /** What was sent last, and what it came from. */
  #sent: Buffer | undefined;
  #update: WorkloadUpdate | undefined;
  #unanswered = false;

  constructor(deps: ConversationDeps) {
    this.#deps = deps;
    this.#validator = validatorFor(undefined, deps.options.disableSpiffeCertValidation);
  }

  get unanswered(): boolean {
    return this.#unanswered;
  }

  take(bytes: Uint8Array): Complaint | undefined {
    const request = decodeDiscovery(bytes);
    // A word about an older answer: the client has yet to see the newest, and will say something of that.
    if (this.#nonce !== "" && request.responseNonce !== this.#nonce) return undefined;
    const { node, errorDetail, versionInfo, typeUrl } = request;
    if (node !== undefined) this.#validator = validatorFor(node, this.#deps.options.disableSpiffeCertValidation);
    this.#typeUrl = typeUrl;
    const names = namesOf(request);
    if (this.#names === undefined || !sameSet(this.#names, names)) {
      this.#names = names;
      this.#unanswered = true;
    }
    const rejected = this.#nonce !== "" && versionInfo !== String(this.#version);
    return errorDetail !== undefined || rejected ? { names: [...names], detail: errorDetail } : undefined;
  }

  answer(update: WorkloadUpdate): Uint8Array | undefined {
    if (this.#names === undefined) return undefined;
    const { resources, unknown } = this.#deps.encoder.set(update, this.#names, this.#validator);
    if (update.pending && (this.#sent === undefined || unknown.length > 0)) return undefined;
    refuseUnknown(unknown);
    const same = this.#sent?.equals(resources) === true;
    if (!same && update !== this.#update) this.#version++;
    this.#sent = resources;
    this.#update = update;
    if (same && !this.#unanswered) return undefined;
    this.#unanswered = false;
    this.#nonce = this.#deps.nonce();
    return response(resources, { versionInfo: String(this.#version), typeUrl: this.#typeUrl, nonce: this.#nonce });
  }
}

/** The answer to a single request; undefined while what the caller may have is not yet complete. Throws as a stream does. */
export function answerOnce(
  request: DiscoveryRequest,
  update: WorkloadUpdate,
  { encoder, options }: ConversationDeps,
): Uint8Array | undefined {
  if (update.pending) return undefined;
  const validator = validatorFor(request.node, options.disableSpiffeCertValidation);
  const { resources, unknown } = encoder.set(update, namesOf(request), validator);
  refuseUnknown(unknown);
  return response(resources, { versionInfo: "", typeUrl: request.typeUrl, nonce: "" });
}

/** Encoded messages that follow each other are one message with the fields of all. */
function response(resources: Buffer, rest: Omit<DiscoveryResponse, "resources">): Uint8Array {
  return Buffer.concat([DiscoveryResponse.encode({ ...rest, resources: [] }).finish(), resources]);
}

function namesOf({ resourceNames }: DiscoveryRequest): ReadonlySet<string> {
  return new Set(resourceNames.filter((name) => name !== ""));
}

function sameSet(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  return a.size === b.size && [...a].every((name) => b.has(name));
}

function refuseUnknown(unknown: readonly string[]): void {
  if (unknown.length === 0) return;
  const all = unknown.map((name) => JSON.stringify(name)).join(" ");
  const list = all.length > MAX_LIST ? `${all.slice(0, MAX_LIST)}…` : all;
  throw publicError("INVALID_ARGUMENT", `workload is not authorized for the requested identities [${list}]`);
}
