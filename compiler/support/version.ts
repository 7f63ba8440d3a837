/** The version of gsic, as package.json has it; part of what caches and tuning files are found by. */
export const version = "0.1.0";
