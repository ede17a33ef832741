/** A gRPC client that sends what it is told, byte for byte, and tells what came of it. */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type OutgoingHttpHeaders,
} from "node:http2";
import net from "node:net";

/** What a call sends. */
export interface RawCall {
  /** Besides those of a call, or in their place; undefined leaves one out. */
  readonly headers?: OutgoingHttpHeaders;
  /** What stands in DATA frames, one after the other. */
  readonly data?: readonly Uint8Array[];
  /** Whether the caller says no more after that. Default: true. */
  readonly last?: boolean;
}

/** A message as it stands in DATA frames. */
export function framed(message: Uint8Array, flag = 0, length = message.length): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = flag;
  prefix.writeUInt32BE(length, 1);
  return Buffer.concat([prefix, message]);
}

/** A field of a protobuf message that has a length: text, bytes or another message. */
export function field(number: number, content: Uint8Array | string): Buffer {
  const bytes = Buffer.from(content as string);
  return Buffer.concat([varint(number * 8 + 2), varint(bytes.length), bytes]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return Buffer.from([...bytes, rest]);
}

/** One connection. */
export class RawClient implements Disposable {
  readonly #session: ClientHttp2Session;

  constructor(path: string) {
    this.#session = connect("http://localhost", { createConnection: () => net.connect(path) });
    this.#session.on("error", () => {});
  }

  /** Whether the other side has closed the connection. */
  get closed(): boolean {
    return this.#session.destroyed;
  }

  /** How a call ends: `a message` as soon as one came, `<code> <message>`, `HTTP <status>`, or `reset <code>`. */
  call(path: string, { headers = {}, data = [framed(Buffer.alloc(0))], last = true }: RawCall = {}): Promise<string> {
    const stream = this.begin(path, headers);
    for (const bytes of data) stream.write(bytes);
    if (last) stream.end();
    return outcome(stream);
  }

  /** A call of which nothing is sent yet but its headers. */
  begin(path: string, more: OutgoingHttpHeaders = {}): ClientHttp2Stream {
    const all: OutgoingHttpHeaders = {
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
      ...more,
    };
    const stream = this.#session.request(
      Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)),
      { endStream: false },
    );
    stream.on("error", () => {});
    return stream;
  }

  [Symbol.dispose](): void {
    this.#session.destroy();
  }
}

/** See {@link RawClient.call}. */
export function outcome(stream: ClientHttp2Stream): Promise<string> {
  return new Promise((resolve) => {
    let http = 0;
    const done = (text: string): void => {
      resolve(text);
      stream.close(constants.NGHTTP2_CANCEL);
    };
    const status = (headers: object): void => {
      const { "grpc-status": code, "grpc-message": text = "" } = headers as Readonly<Record<string, string>>;
      if (code !== undefined) done(`${code} ${decodeURIComponent(text)}`.trim());
    };
    stream.on("response", (headers) => {
      http = Number(headers[":status"]);
      if (http === 200) status(headers);
      else done(`HTTP ${http}`);
    });
    stream.on("trailers", status);
    stream.once("data", () => done("a message"));
    stream.on("close", () => resolve(`reset ${stream.rstCode}`));
  });
}
