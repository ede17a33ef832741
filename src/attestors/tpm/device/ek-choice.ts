/** Remembers which endorsement key the agent is known by, so that a certificate that appears later changes nothing. */
import { z } from "zod";
import { AgentError } from "../../../lib/errors.ts";
import { EK_TEMPLATE_NAMES, type EkTemplateName } from "./templates.ts";

/** What is remembered. */
export interface EkChoice {
  readonly template: EkTemplateName;
  /** Hash of the key, the last part of the agent's ID. */
  readonly hash: string;
}

/** Where it is remembered. */
export interface EkChoiceStore {
  /** `undefined` when nothing is remembered, or nothing that can be read. */
  load(): Promise<EkChoice | undefined>;
  save(choice: EkChoice): Promise<void>;
}

const schema = z.strictObject({ template: z.enum(EK_TEMPLATE_NAMES), pub_hash: z.string().regex(/^[0-9a-f]{64}$/) });

/** The file's content. */
export function encodeEkChoice({ template, hash }: EkChoice): string {
  return `${JSON.stringify({ template, pub_hash: hash })}\n`;
}

/** Throws `DATA_LOSS` for what is no such file. */
export function decodeEkChoice(text: string): EkChoice {
  try {
    const { template, pub_hash: hash } = schema.parse(JSON.parse(text));
    return { template, hash };
  } catch (error) {
    throw new AgentError("DATA_LOSS", "it does not hold the choice of an endorsement key", { cause: error });
  }
}
