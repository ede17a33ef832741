/** Callers that do not behave: what each kind says to the Workload API, as bytes on as many connections as it likes. */
import type { Socket } from "node:net";
import { Flag, Frame, frame, grpcHeaders, grpcMessage, numberFrame, OPENING, wholeCall } from "./frames.ts";
import { nacks, tokens } from "./talking-attacks.ts";
import { FIRST_FETCH } from "./workload-calls.ts";

const HEADER = { "workload.spiffe.io": "true" };
const FETCH = grpcHeaders("/SpiffeWorkloadAPI/FetchX509SVID", HEADER);
const HEALTH = grpcHeaders("/grpc.health.v1.Health/Check");
const NOTHING = new Uint8Array(0);
/** Calls that the agent lets one connection have at once. */
const CALLS = 100;
/** What half a request announces, and what comes of it: all calls of a connection fit its first window. */
const ANNOUNCED = 60_000;
const SENT = 600;
/** A frame of a type that nobody knows and everybody must ignore (RFC 9113 §4.1), as long as one may be. */
const IGNORED = frame(0xbe, Flag.NONE, 0, new Uint8Array(16_384));
const CANCEL = 8;

/** One connection of an attack. */
export interface Line {
  readonly socket: Socket;
  /** Writes; settles when there is room for more, or the connection has gone. */
  write(bytes: Uint8Array): Promise<void>;
  /** Whether the connection has gone. */
  readonly closed: boolean;
  /** Settles when it has. */
  readonly gone: Promise<void>;
  /** Counts calls that were begun, or pieces of one. */
  count(calls: number): void;
}

/** What an attack does with one connection; when it settles, the connection is closed and a new one takes its place. */
export type Script = (line: Line) => Promise<void>;

/** A kind of attack, and on how many connections at once it is made. */
export interface Attack {
  readonly what: string;
  readonly lanes: number;
  readonly script: Script;
}

/** Every kind. */
export const ATTACKS = {
  streams: {
    what: "10,000 streams",
    lanes: 100,
    async script(line) {
      line.socket.resume();
      await line.write(Buffer.concat([OPENING, ...calls(FETCH, 0, CALLS)]));
      line.count(CALLS);
      await line.gone;
    },
  },
  "never-reads": {
    what: "reads nothing, and asks on",
    lanes: 100,
    async script(line) {
      line.socket.pause();
      await line.write(OPENING);
      for (let call = 0; !line.closed; call += CALLS) {
        await line.write(Buffer.concat(calls(HEALTH, call, CALLS)));
        line.count(CALLS);
      }
    },
  },
  "half-frames": {
    what: "half a request in each of 10,000 calls, then nothing",
    lanes: 100,
    async script(line) {
      line.socket.resume();
      const half = grpcMessage(new Uint8Array(ANNOUNCED)).subarray(0, SENT);
      await line.write(
        Buffer.concat([
          OPENING,
          ...each(0, CALLS, (stream) => [
            frame(Frame.HEADERS, Flag.END_HEADERS, stream, FETCH),
            frame(Frame.DATA, Flag.NONE, stream, half),
          ]),
          // And half a frame.
          frame(Frame.HEADERS, Flag.END_HEADERS, 2 * CALLS + 1, FETCH).subarray(0, 20),
        ]),
      );
      line.count(CALLS);
      await line.gone;
    },
  },
  lingers: {
    what: "calls that are refused, and that it never ends",
    lanes: 100,
    async script(line) {
      line.socket.resume();
      const two = frame(Frame.DATA, Flag.NONE, 1, Buffer.concat([grpcMessage(NOTHING), grpcMessage(NOTHING)]));
      const data = two.subarray(9);
      await line.write(
        Buffer.concat([
          OPENING,
          ...each(0, CALLS, (stream) => [
            frame(Frame.HEADERS, Flag.END_HEADERS, stream, FETCH),
            frame(Frame.DATA, Flag.NONE, stream, data),
          ]),
        ]),
      );
      line.count(CALLS);
      await line.gone;
    },
  },
  crumbs: {
    what: "requests byte by byte, each in 48 KiB of frames that mean nothing",
    lanes: 4,
    async script(line) {
      line.socket.resume();
      const [head, ...rest] = grpcMessage(new Uint8Array(ANNOUNCED));
      await line.write(
        Buffer.concat([
          OPENING,
          frame(Frame.HEADERS, Flag.END_HEADERS, 1, FETCH),
          frame(Frame.DATA, Flag.NONE, 1, Buffer.from([head ?? 0, ...rest.slice(0, 4)])),
        ]),
      );
      const crumb = Buffer.concat([frame(Frame.DATA, Flag.NONE, 1, new Uint8Array(1)), IGNORED, IGNORED, IGNORED]);
      for (let sent = 0; sent < ANNOUNCED && !line.closed; sent++) {
        await line.write(crumb);
        line.count(1);
      }
    },
  },
  resets: {
    what: "calls that are reset as soon as they are made",
    lanes: 8,
    async script(line) {
      line.socket.resume();
      await line.write(OPENING);
      for (let call = 0; !line.closed && call < 2 ** 29; call += CALLS) {
        await line.write(
          Buffer.concat([
            ...each(call, CALLS, (stream) => [
              wholeCall(FETCH, NOTHING, stream),
              numberFrame(Frame.RST_STREAM, stream, CANCEL),
            ]),
          ]),
        );
        line.count(CALLS);
      }
    },
  },
  dies: {
    what: "connects, asks and is gone",
    lanes: 16,
    async script(line) {
      await line.write(FIRST_FETCH);
      line.count(1);
    },
  },
  nacks,
  tokens,
} as const satisfies Record<string, Attack>;

export type AttackKind = keyof typeof ATTACKS;

/** The numbers of streams for so many calls after the first `before`. */
function each(before: number, count: number, bytes: (stream: number) => readonly Buffer[]): Buffer[] {
  return Array.from({ length: count }, (_, index) => bytes(2 * (before + index) + 1)).flat();
}

function calls(headers: Buffer, before: number, count: number, message: Uint8Array = NOTHING): Buffer[] {
  return each(before, count, (stream) => [wholeCall(headers, message, stream)]);
}
