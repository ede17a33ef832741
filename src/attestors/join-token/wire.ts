/** What both halves of `join_token` agree on: the payload is the token itself, in UTF-8; there is no challenge. */

/** The attestation type on the wire. */
export const JOIN_TOKEN = "join_token";

/** Longest token in bytes; the datastore's column holds no more. */
export const MAX_JOIN_TOKEN_BYTES = 255;
