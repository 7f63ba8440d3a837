import { type TSchema, Type } from "typebox";

/** A field that may be left out or null. */
export const optional = <T extends TSchema>(schema: T) => Type.Optional(Type.Union([schema, Type.Null()]));
