/** Attacks that have to listen: to what they refuse, or to what they forge. */
import { DiscoveryRequest, DiscoveryResponse } from "../../src/gen/envoy/service/discovery/v3/discovery.ts";
import { JWTSVIDRequest, JWTSVIDResponse, ValidateJWTSVIDRequest } from "../../src/gen/workload/workload.ts";
import type { Attack } from "./attacks.ts";
import { Connection } from "./connection.ts";
import { grpcHeaders } from "./frames.ts";

const HEADER = { "workload.spiffe.io": "true" };
const FETCH_JWT = grpcHeaders("/SpiffeWorkloadAPI/FetchJWTSVID", HEADER);
const VALIDATE = grpcHeaders("/SpiffeWorkloadAPI/ValidateJWTSVID", HEADER);
const STREAM_SECRETS = grpcHeaders("/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets");
const AUDIENCE = "attack";
/** Calls on their way on one connection. */
const IN_FLIGHT = 50;
const LOOP = 5_000;

/** Valid to the last part, so that the signature is looked at; each another token, so that nothing is remembered. */
export const tokens: Attack = {
  what: "tokens whose signature is wrong",
  lanes: 8,
  async script(line) {
    const connection = new Connection(line.socket);
    connection.open();
    const [head = "", body = "", signature = ""] = (await fetchToken(connection)).split(".");
    const forge = async (): Promise<void> => {
      for (let count = 0; !line.closed; count++) {
        const forged = Buffer.from(signature, "base64url");
        forged.writeUInt32BE(count, 8);
        const svid = `${head}.${body}.${forged.toString("base64url")}`;
        line.count(1);
        await once(connection, VALIDATE, ValidateJWTSVIDRequest.encode({ audience: AUDIENCE, svid }).finish());
      }
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, forge));
  },
};

/** Refuses its secret as fast as it is read. */
export const nacks: Attack = {
  what: "secrets that are refused again and again",
  lanes: 100,
  async script(line) {
    const connection = new Connection(line.socket);
    connection.open();
    const nonce = Promise.withResolvers<string>();
    const stream = connection.call(STREAM_SECRETS, {
      keep: true,
      message: (_length, bytes) => nonce.resolve(DiscoveryResponse.decode(bytes ?? new Uint8Array(0)).nonce),
      end: () => line.socket.destroy(),
    });
    const say = (fields: Parameters<typeof DiscoveryRequest.fromPartial>[0]): void =>
      connection.send(stream, DiscoveryRequest.encode(DiscoveryRequest.fromPartial(fields)).finish(), false);
    say({ resourceNames: ["default"] });
    line.count(1);
    const responseNonce = await Promise.race([nonce.promise, line.gone.then(() => "")]);
    const errorDetail = { code: 3, message: "cannot load" };
    // Of these fifty are taken at once and ten a second then: the rest waits in windows, which outlast any attack.
    for (let sent = 0; sent < LOOP; sent++) say({ resourceNames: ["default"], responseNonce, errorDetail });
    await line.gone;
  },
};

async function fetchToken(connection: Connection): Promise<string> {
  const request = JWTSVIDRequest.encode({ audience: [AUDIENCE], spiffeId: "" }).finish();
  const answer = await once(connection, FETCH_JWT, request);
  return answer === undefined ? "" : (JWTSVIDResponse.decode(answer).svids[0]?.svid ?? "");
}

/** One call; its answer, if there is one. */
function once(connection: Connection, headers: Buffer, request: Uint8Array): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    let answer: Buffer | undefined;
    const stream = connection.call(headers, {
      keep: true,
      message(_length, bytes) {
        answer = bytes;
      },
      end: () => resolve(answer),
    });
    connection.send(stream, request, true);
  });
}
