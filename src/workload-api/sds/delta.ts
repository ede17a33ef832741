/** `DeltaSecrets`: each answer has what changed of what was subscribed to (xDS, incremental variant). */
import { type DeltaDiscoveryRequest, DeltaDiscoveryResponse } from "../../gen/envoy/service/discovery/v3/discovery.ts";
import type { WorkloadUpdate } from "../ports.ts";
import type { Complaint, Conversation, ConversationDeps } from "./conversation.ts";
import { checkNames, decodeDeltaDiscovery } from "./requests.ts";
import type { Secret } from "./secrets.ts";
import { type Validator, validatorFor } from "./validator.ts";

/** Subscribes to everything, as does a first request without names. */
const WILDCARD = "*";
/** In place of a version: the client knows that there is no such secret. */
const ABSENT = "absent";
/** In place of a version: the client must be told, whatever it has. */
const UNKNOWN = "";

/**
 * One stream. Each name stands for itself, so that two names of one secret bring it twice; a name that the caller may not
 * have is told to be removed, and comes when it may.
 */
export class Delta implements Conversation {
  readonly #deps: ConversationDeps;
  #validator: Validator;
  #typeUrl = "";
  #begun = false;
  #everything = false;
  readonly #subscribed = new Set<string>();
  /** What the client has, by name. */
  readonly #versions = new Map<string, string>();
  #answers = 0;
  #unanswered = false;

  constructor(deps: ConversationDeps) {
    this.#deps = deps;
    this.#validator = validatorFor(undefined, deps.options.disableSpiffeCertValidation);
  }

  get unanswered(): boolean {
    return this.#unanswered;
  }

  /** Also one that does not name the last answer: what it subscribes to counts whatever the client has seen. */
  take(bytes: Uint8Array): Complaint | undefined {
    const request = decodeDeltaDiscovery(bytes);
    const { node, errorDetail, typeUrl, resourceNamesSubscribe, resourceNamesUnsubscribe } = request;
    if (node !== undefined) this.#validator = validatorFor(node, this.#deps.options.disableSpiffeCertValidation);
    this.#typeUrl = typeUrl;
    for (const name of resourceNamesUnsubscribe) this.#unsubscribe(name);
    for (const name of resourceNamesSubscribe) this.#subscribe(name);
    checkNames(this.#held());
    if (!this.#begun) this.#begin(request);
    return errorDetail === undefined ? undefined : { names: [...this.#subscribed], detail: errorDetail };
  }

  answer(update: WorkloadUpdate): Uint8Array | undefined {
    if (!this.#begun || (update.pending && this.#answers === 0)) return undefined;
    const wanted = this.#wanted(update);
    const resources = [];
    for (const [name, secret] of wanted) {
      const { version, resource } = this.#deps.encoder.secret(secret, this.#validator);
      if (this.#versions.get(name) === version) continue;
      this.#versions.set(name, version);
      resources.push({ name, version, resource });
    }
    const removedResources = this.#removed(wanted, update.pending);
    this.#unanswered = false;
    if (resources.length === 0 && removedResources.length === 0) return undefined;
    this.#answers++;
    const systemVersionInfo = String(this.#answers);
    const typeUrl = this.#typeUrl;
    const message = { systemVersionInfo, resources, typeUrl, nonce: this.#deps.nonce(), removedResources };
    return DeltaDiscoveryResponse.encode(message).finish();
  }

  /** Even if the client is subscribed to it: it may have forgotten what it had. */
  #subscribe(name: string): void {
    this.#unanswered = true;
    if (name === WILDCARD) {
      this.#everything = true;
    } else if (name !== "") {
      this.#subscribed.add(name);
      this.#versions.set(name, UNKNOWN);
    }
  }

  #unsubscribe(name: string): void {
    if (name === WILDCARD) {
      this.#everything = false;
      for (const known of this.#versions.keys()) if (!this.#subscribed.has(known)) this.#versions.delete(known);
    } else if (this.#subscribed.delete(name)) {
      // Below the wildcard the client has to hear whether it goes on having it.
      if (this.#everything) this.#versions.set(name, UNKNOWN);
      else this.#versions.delete(name);
    }
  }

  /** Names of the client's own choice: of some that it has left it is yet to be told, however slowly it reads. */
  #held(): Set<string> {
    const untold = [...this.#versions].flatMap(([name, version]) => (version === UNKNOWN ? [name] : []));
    return new Set([...this.#subscribed, ...untold]);
  }

  /** The first request says what the client has from streams before, and without a name asks for everything. */
  #begin({ initialResourceVersions, resourceNamesSubscribe }: DeltaDiscoveryRequest): void {
    this.#begun = true;
    this.#unanswered = true;
    if (resourceNamesSubscribe.length === 0) this.#everything = true;
    for (const [name, version] of Object.entries(initialResourceVersions)) {
      if (version !== ABSENT && (this.#everything || this.#subscribed.has(name))) this.#versions.set(name, version);
    }
  }

  /** What the client should have. */
  #wanted(update: WorkloadUpdate): ReadonlyMap<string, Secret> {
    const { byName, everything } = this.#deps.encoder.index(update);
    const secrets = [...this.#subscribed].flatMap((name) => byName.get(name) ?? []);
    if (this.#everything) secrets.push(...everything);
    return new Map(secrets.map((secret) => [secret.name, secret]));
  }

  /** What the client must forget, or may not have. While SVIDs are on their way nothing that it asks for is refused. */
  #removed(wanted: ReadonlyMap<string, Secret>, pending: boolean): string[] {
    const removed: string[] = [];
    for (const [name, version] of this.#versions) {
      if (wanted.has(name) || version === ABSENT) continue;
      if (!this.#subscribed.has(name)) this.#versions.delete(name);
      else if (pending) continue;
      else this.#versions.set(name, ABSENT);
      removed.push(name);
    }
    return removed.sort();
  }
}
