/** GeneralName: the alternatives of a subject alternative name or a name constraint (RFC 5280 4.2.1.6). */

/** One general name. `ip` is 4 or 16 bytes in a SAN, 8 or 32 (address and mask) in a constraint. */
export type GeneralName =
  | { readonly type: "email"; readonly value: string }
  | { readonly type: "dns"; readonly value: string }
  | { readonly type: "uri"; readonly value: string }
  | { readonly type: "ip"; readonly value: Uint8Array }
  | { readonly type: "directory"; readonly der: Uint8Array }
  | { readonly type: "other"; readonly tag: number; readonly der: Uint8Array };
