/** A connection whose calls name a socket's path as their authority, with that made acceptable on the way in. */
import { Duplex } from "node:stream";
import { PathAuthorities } from "./path-authority.ts";

/** What is read of `socket` passes through {@link PathAuthorities}; all else is the socket's own. */
export class PathAuthoritySocket extends Duplex {
  readonly #socket: Duplex;
  readonly #authorities = new PathAuthorities();

  constructor(socket: Duplex) {
    super({ allowHalfOpen: true });
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => {
      const bytes = this.#authorities.push(chunk);
      if (bytes.length > 0 && !this.push(bytes)) socket.pause();
    });
    socket.once("end", () => this.push(null));
    socket.once("error", (error) => this.destroy(error));
    socket.once("close", () => this.destroy());
    socket.pause();
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#socket.write(chunk, done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#socket.end(() => done());
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#socket.destroy();
    done(error);
  }
}
