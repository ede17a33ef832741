/** Everything that is fuzzed. */
import type { FuzzTarget } from "../../../scripts/fuzz/target.ts";
import { adminApi, workloadApi } from "./agent-sockets.ts";
import { certificate, certificates, request, spki } from "./certificates.ts";
import { chain } from "./chains.ts";
import { agentData, bundle, config, hostFiles, spiffeId } from "./documents.ts";
import { challenge, payload, pem, quoteResponse, secret } from "./messages.ts";
import { pathAuthority } from "./path-authority.ts";
import { ak, quote } from "./proofs.ts";
import { area } from "./public-area.ts";
import { sds } from "./sds.ts";
import { serverAnswers } from "./server-answers.ts";
import { serverApi } from "./server-api.ts";
import { attest, creation, idObject, pcrSelection, signature } from "./structures.ts";
import { jwt, jwtValidate } from "./tokens.ts";
import { witValidate } from "./wits.ts";

/** In the order in which they are run. */
export const TARGETS: readonly FuzzTarget[] = [
  area,
  attest,
  signature,
  idObject,
  pcrSelection,
  creation,
  payload,
  challenge,
  secret,
  quoteResponse,
  pem,
  ak,
  quote,
  pathAuthority,
  spki,
  certificate,
  certificates,
  request,
  jwt,
  jwtValidate,
  witValidate,
  workloadApi,
  adminApi,
  sds,
  serverApi,
  serverAnswers,
  chain,
  bundle,
  spiffeId,
  config,
  agentData,
  hostFiles,
];
