/** A gRPC client's side of one HTTP/2 connection, over any socket: cheap, so that the bench measures the server. */
import type { Duplex } from "node:stream";
import {
  DEFAULT_WINDOW,
  Flag,
  Frame,
  FrameReader,
  type FrameSink,
  frame,
  grpcMessage,
  LARGEST_WINDOW,
  MAX_FRAME,
  numberFrame,
  OPENING,
  SETTING_INITIAL_WINDOW,
  SETTINGS_ACK,
} from "./frames.ts";
import { MessageReader } from "./messages.ts";
import type { LaidOut } from "./workload-calls.ts";

const CANCEL = 8;
/** Received bytes after which the connection's window is opened again. */
const REFILL = 2 ** 30;

/** What a call tells. */
export interface CallHandler {
  /** Whether `message` gets the bytes, not only the length. */
  readonly keep?: boolean;
  message(length: number, bytes: Buffer | undefined): void;
  /** The call has ended, by the peer or because the connection is gone; called once unless it was cancelled. */
  end(): void;
}

interface Call {
  readonly handler: CallHandler;
  readonly reader: MessageReader;
  window: number;
  unsent: { readonly bytes: Buffer; readonly last: boolean }[];
}

/** One connection. Streams are numbered 1, 3, 5, … */
export class Connection implements FrameSink {
  readonly socket: Duplex;
  readonly #calls = new Map<number, Call>();
  readonly #reader = new FrameReader(this);
  #next = 1;
  #window = DEFAULT_WINDOW;
  #peerWindow = DEFAULT_WINDOW;
  #received = 0;
  #goingAway = false;

  /** Takes a socket that connects or is connected. */
  constructor(socket: Duplex) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => this.#reader.push(chunk));
    socket.on("error", () => socket.destroy());
    socket.once("close", () => this.#lost());
  }

  /** Whether no further call can be made. */
  get closed(): boolean {
    return this.#goingAway || this.socket.destroyed;
  }

  /** Opens the connection with a call laid out by `wholeCall` for stream 1: a single write. */
  begin(firstCall: Buffer, handler: CallHandler): void {
    this.#add(handler);
    this.socket.write(firstCall);
  }

  /** Opens the connection. */
  open(): void {
    this.socket.write(OPENING);
  }

  /** Makes a call with its only request laid out for any stream; the numbers are put in. Small requests only. */
  repeat({ bytes: whole, dataAt }: LaidOut, handler: CallHandler): number {
    const stream = this.#add(handler);
    const bytes = Buffer.from(whole);
    bytes.writeUInt32BE(stream, 5);
    bytes.writeUInt32BE(stream, dataAt + 5);
    this.#window -= bytes.length - dataAt - 9;
    this.socket.write(bytes);
    return stream;
  }

  /** Makes a call: its headers; requests follow by `send`. */
  call(headers: Buffer, handler: CallHandler): number {
    const stream = this.#add(handler);
    this.socket.write(frame(Frame.HEADERS, Flag.END_HEADERS, stream, headers));
    return stream;
  }

  /** Sends a request of a call, waiting for windows where needed; `last` half-closes. */
  send(stream: number, message: Uint8Array, last: boolean): void {
    const call = this.#calls.get(stream);
    if (call === undefined) return;
    const bytes = grpcMessage(message);
    for (let at = 0; at < bytes.length; at += MAX_FRAME)
      call.unsent.push({ bytes: bytes.subarray(at, at + MAX_FRAME), last: last && at + MAX_FRAME >= bytes.length });
    this.#flush(stream, call);
  }

  /** Half-closes a call without a further request. */
  finish(stream: number): void {
    this.#calls.get(stream)?.unsent.push({ bytes: Buffer.alloc(0), last: true });
    this.#flushAll();
  }

  /** Ends a call without hearing its end. */
  cancel(stream: number): void {
    if (this.#calls.delete(stream)) this.socket.write(numberFrame(Frame.RST_STREAM, stream, CANCEL));
  }

  data(stream: number, piece: Buffer): void {
    this.#received += piece.length;
    if (this.#received > REFILL) {
      this.socket.write(numberFrame(Frame.WINDOW_UPDATE, 0, this.#received));
      this.#received = 0;
    }
    this.#calls.get(stream)?.reader.push(piece);
  }

  frame(type: number, flags: number, stream: number, payload: Buffer): void {
    if (type === Frame.SETTINGS) this.#settings(flags, payload);
    else if (type === Frame.PING && (flags & Flag.ACK) === 0)
      this.socket.write(frame(Frame.PING, Flag.ACK, 0, payload));
    else if (type === Frame.WINDOW_UPDATE) this.#widen(stream, payload.readUInt32BE(0) & LARGEST_WINDOW);
    else if (type === Frame.GOAWAY) this.#goingAway = true;
    else if (type === Frame.RST_STREAM) this.#end(stream);
    else if ((type === Frame.DATA || type === Frame.HEADERS) && (flags & Flag.END_STREAM) !== 0) this.#end(stream);
  }

  #add(handler: CallHandler): number {
    const stream = this.#next;
    this.#next += 2;
    const reader = new MessageReader(handler.keep ?? false, (length, bytes) => handler.message(length, bytes));
    this.#calls.set(stream, { handler, reader, window: this.#peerWindow, unsent: [] });
    return stream;
  }

  #end(stream: number): void {
    const call = this.#calls.get(stream);
    if (this.#calls.delete(stream)) call?.handler.end();
  }

  #lost(): void {
    for (const stream of this.#calls.keys()) this.#end(stream);
  }

  #settings(flags: number, payload: Buffer): void {
    if ((flags & Flag.ACK) !== 0) return;
    for (let at = 0; at + 6 <= payload.length; at += 6) {
      if (payload.readUInt16BE(at) !== SETTING_INITIAL_WINDOW) continue;
      const change = payload.readUInt32BE(at + 2) - this.#peerWindow;
      this.#peerWindow += change;
      for (const call of this.#calls.values()) call.window += change;
    }
    this.socket.write(SETTINGS_ACK);
    this.#flushAll();
  }

  #widen(stream: number, bytes: number): void {
    const call = this.#calls.get(stream);
    if (stream === 0) this.#window += bytes;
    else if (call !== undefined) call.window += bytes;
    this.#flushAll();
  }

  #flushAll(): void {
    for (const [stream, call] of this.#calls) if (call.unsent.length > 0) this.#flush(stream, call);
  }

  #flush(stream: number, call: Call): void {
    for (let next = call.unsent[0]; next !== undefined; next = call.unsent[0]) {
      if (next.bytes.length > Math.min(this.#window, call.window)) return;
      call.unsent.shift();
      this.#window -= next.bytes.length;
      call.window -= next.bytes.length;
      this.socket.write(frame(Frame.DATA, next.last ? Flag.END_STREAM : Flag.NONE, stream, next.bytes));
    }
  }
}
