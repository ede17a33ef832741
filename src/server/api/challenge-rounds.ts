/** Carries challenges between an attestor, which awaits answers, and a stream, which is read and written in turns. */
import { publicError } from "../../lib/errors.ts";

/** Most challenges that one attestation may take; the longest ceremony that exists takes two. */
const MAX_ROUNDS = 16;

/** A challenge on its way to the agent, and where its answer goes. */
interface Round {
  readonly challenge: Uint8Array;
  readonly resolve: (answer: Uint8Array) => void;
  readonly reject: (reason: unknown) => void;
}

/** One attestation's rounds. */
export class ChallengeRounds {
  #rounds = 0;
  #open: Round | undefined;
  #wake: (() => void) | undefined;
  #failure: { readonly reason: unknown } | undefined;

  /** For the attestor: sends a challenge and waits for its answer. */
  readonly ask = (challenge: Uint8Array): Promise<Uint8Array> => {
    if (this.#failure !== undefined) return Promise.reject(this.#failure.reason);
    if (this.#open !== undefined) return Promise.reject(new Error("the attestor did not wait for the answer"));
    if (++this.#rounds > MAX_ROUNDS) {
      return Promise.reject(publicError("RESOURCE_EXHAUSTED", "attestation takes too many rounds"));
    }
    return new Promise((resolve, reject) => {
      this.#open = { challenge, resolve, reject };
      this.#wake?.();
    });
  };

  /** For the stream: the attestor's next challenge. */
  async next(): Promise<Uint8Array> {
    while (this.#open === undefined) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#open.challenge;
  }

  /** For the stream: the agent's answer to the challenge that `next` gave. */
  answer(bytes: Uint8Array): void {
    const round = this.#open;
    this.#open = undefined;
    round?.resolve(bytes);
  }

  /** For the stream: there will be no answer any more. */
  fail(reason: unknown): void {
    this.#failure ??= { reason };
    this.#open?.reject(reason);
    this.#open = undefined;
  }
}
