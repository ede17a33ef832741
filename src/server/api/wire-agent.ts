/** Attested nodes between domain and messages, under masks. */
import type { ListAgentsRequest_Filter } from "../../gen/spire/api/server/agent/v1/agent.ts";
import type { Agent, AgentMask } from "../../gen/spire/api/types/agent.ts";
import { publicError } from "../../lib/errors.ts";
import type { AttestedNode, NodeFilter } from "../datastore/datastore.ts";
import { parseInput } from "./failure.ts";
import { idToMessage, selectorMatchFromMessage } from "./wire.ts";

/** Every field. */
const FULL_AGENT: AgentMask = {
  attestationType: true,
  x509svidSerialNumber: true,
  x509svidExpiresAt: true,
  selectors: true,
  banned: true,
  canReattest: true,
  agentVersion: true,
};

/** Writes a node; without a mask all of it, with one the ID and what the mask names. */
export function agentToMessage(node: AttestedNode, mask: AgentMask = FULL_AGENT): Agent {
  return {
    id: idToMessage(node.agentId),
    attestationType: mask.attestationType ? node.attestationType : "",
    x509svidSerialNumber: mask.x509svidSerialNumber ? node.serial : "",
    x509svidExpiresAt: mask.x509svidExpiresAt ? BigInt(node.expiresAt) : 0n,
    selectors: mask.selectors ? node.selectors.map(({ type, value }) => ({ type, value })) : [],
    banned: mask.banned && node.serial === "",
    canReattest: mask.canReattest && node.canReattest,
    agentVersion: mask.agentVersion ? node.agentVersion : "",
  };
}

/** Reads a filter. Throws `INVALID_ARGUMENT`. */
export function nodeFilterFromMessage(filter: ListAgentsRequest_Filter | undefined): NodeFilter {
  if (filter === undefined) return {};
  const { bySelectorMatch } = filter;
  return {
    ...(filter.byAttestationType !== "" && { attestationType: filter.byAttestationType }),
    ...(bySelectorMatch !== undefined && {
      selectors: parseInput("failed to parse selectors", () => selectorMatchFromMessage(bySelectorMatch)),
    }),
    ...(filter.byBanned !== undefined && { banned: filter.byBanned }),
    ...(filter.byCanReattest !== undefined && { canReattest: filter.byCanReattest }),
    ...(filter.byExpiresBefore !== "" && { expiresBefore: parseExpiresBefore(filter.byExpiresBefore) }),
  };
}

/** `2006-01-02 15:04:05 -0700 -07`: the offset comes twice, as Go's layout prints a zone that has no name. */
const GO_TIME = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) ([+-]\d\d)(\d\d) \S+$/;

/** Unix seconds. SPIRE ignores what it cannot read, and then lists agents that nobody asked for; we say so. */
export function parseExpiresBefore(text: string): number {
  const [, date, time, hours, minutes] = GO_TIME.exec(text) ?? [];
  const milliseconds = Date.parse(`${date}T${time}${hours}:${minutes}`);
  if (Number.isNaN(milliseconds)) {
    throw publicError("INVALID_ARGUMENT", 'by_expires_before must look like "2006-01-02 15:04:05 -0700 -07"');
  }
  return Math.floor(milliseconds / 1000);
}
