/** Cuts the DATA of one stream into gRPC messages. */

const PREFIX = 5;

/** Puts the messages of one stream together; unless `keep` is set, only their lengths are looked at. */
export class MessageReader {
  readonly #keep: boolean;
  readonly #onMessage: (length: number, bytes: Buffer | undefined) => void;
  readonly #prefix = Buffer.alloc(PREFIX);
  #prefixed = 0;
  #left = 0;
  #length = 0;
  #pieces: Buffer[] = [];

  constructor(keep: boolean, onMessage: (length: number, bytes: Buffer | undefined) => void) {
    this.#keep = keep;
    this.#onMessage = onMessage;
  }

  /** Takes the next bytes; `onMessage` is called at the last byte of each message. */
  push(piece: Buffer): void {
    let at = 0;
    while (at < piece.length) {
      if (this.#prefixed < PREFIX) {
        const taken = Math.min(PREFIX - this.#prefixed, piece.length - at);
        piece.copy(this.#prefix, this.#prefixed, at, at + taken);
        at += taken;
        this.#prefixed += taken;
        if (this.#prefixed < PREFIX) return;
        if (this.#prefix[0] !== 0) throw new Error("compressed message");
        this.#length = this.#left = this.#prefix.readUInt32BE(1);
      } else {
        const taken = Math.min(this.#left, piece.length - at);
        // The piece is only lent: what is kept is copied.
        if (this.#keep) this.#pieces.push(Buffer.from(piece.subarray(at, at + taken)));
        at += taken;
        this.#left -= taken;
      }
      if (this.#left === 0) this.#finish();
    }
  }

  #finish(): void {
    const bytes = this.#keep ? Buffer.concat(this.#pieces) : undefined;
    this.#prefixed = 0;
    this.#pieces = [];
    this.#onMessage(this.#length, bytes);
  }
}
