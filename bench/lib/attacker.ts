/** Keeps an attack going: as many connections as it wants, each replaced when it has gone. */
import { connect, type Socket } from "node:net";
import type { Attack, Line } from "./attacks.ts";

/** What an attack came to so far. */
export interface Attacked {
  /** Calls that were begun, or pieces of one. */
  readonly calls: number;
  /** Connections that were made. */
  readonly connections: number;
}

/** One attack, from the constructor to {@link stop}. */
export class Attacker {
  readonly #attack: Attack;
  readonly #path: string;
  readonly #sockets = new Set<Socket>();
  readonly #lanes: Promise<unknown>;
  #calls = 0;
  #connections = 0;
  #stopped = false;

  constructor(attack: Attack, path: string, lanes: number = attack.lanes) {
    this.#attack = attack;
    this.#path = path;
    this.#lanes = Promise.all(Array.from({ length: lanes }, () => this.#lane()));
  }

  get counts(): Attacked {
    return { calls: this.#calls, connections: this.#connections };
  }

  /** Ends it and closes every connection. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const socket of this.#sockets) socket.destroy();
    await this.#lanes;
  }

  async #lane(): Promise<void> {
    while (!this.#stopped) {
      const socket = connect(this.#path);
      this.#sockets.add(socket);
      this.#connections++;
      const line = lineOf(socket, (calls) => {
        this.#calls += calls;
      });
      await this.#attack.script(line);
      socket.destroy();
      await line.gone;
      this.#sockets.delete(socket);
    }
  }
}

function lineOf(socket: Socket, count: (calls: number) => void): Line {
  const { promise: gone, resolve } = Promise.withResolvers<void>();
  socket.on("error", () => {});
  socket.once("close", () => resolve());
  return {
    socket,
    gone,
    count,
    get closed() {
      return socket.destroyed;
    },
    async write(bytes) {
      if (socket.destroyed || socket.write(bytes)) return;
      const drained = Promise.withResolvers<void>();
      socket.once("drain", drained.resolve);
      await Promise.race([drained.promise, gone]);
      socket.off("drain", drained.resolve);
    },
  };
}
