/** Nominal types over plain values: parsed once at the edge, trusted inside. */

declare const brand: unique symbol;

/** A `T` that went through the parser named by `Name`. */
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };
