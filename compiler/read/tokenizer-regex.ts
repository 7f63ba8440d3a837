import { malformed, unsupported } from "./tokenizer-model.js";

/** The pattern that GPT-2's byte-level pre-tokenizer splits text by, in the reference's regex language. */
export const gpt2Pattern =
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/** Escapes that mean the same set inside and outside of a class. */
const setEscapes = new Map([
  ["s", "\\p{White_Space}"],
  ["S", "\\P{White_Space}"],
  ["d", "\\p{Nd}"],
  ["D", "\\P{Nd}"],
]);

/** Members of Oniguruma's word and hexadecimal classes. */
const memberEscapes = new Map([
  ["w", "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}"],
  ["h", "0-9A-Fa-f"],
]);

const controlEscapes = new Map([
  ["n", "\\n"],
  ["r", "\\r"],
  ["t", "\\t"],
  ["f", "\\f"],
  ["v", "\\x0b"],
  ["a", "\\x07"],
  ["e", "\\x1b"],
  ["0", "\\x00"],
]);

const anchors = new Map([
  ["A", "(?<![\\x00-\\u{10ffff}])"],
  ["z", "(?![\\x00-\\u{10ffff}])"],
]);

/**
 * Translates a pattern from the language of the reference (Oniguruma in its Ruby syntax, over code points) to
 * one that JavaScript with the flag `u` and PCRE2 with UTF and UCP read alike. The differences that matter:
 * white space is \p{White_Space} (JavaScript adds U+FEFF and lacks U+0085; PCRE2 adds U+180E), `.` excludes only
 * a newline, `^` and `$` are at lines, `(?i:` folds by Unicode, and possessive quantifiers do not backtrack.
 * Code points are written as `\x{...}` in PCRE2; `toPcre2` makes that one substitution.
 * @throws GsicError `tokenizer-unsupported` where a construct has no portable form
 */
export function portablePattern(pattern: string, where: string): string {
  const translated = new Translator(pattern, where).run();
  try {
    new RegExp(translated, "gu");
  } catch (error) {
    throw malformed(`the pattern ${JSON.stringify(pattern)} is not a regular expression`, where, error);
  }
  return translated;
}

/** A portable pattern as PCRE2 spells it. */
export function toPcre2(portable: string): string {
  return portable.replace(/\\u\{([0-9a-f]+)\}/g, "\\x{$1}");
}

/** A literal text as a portable pattern. */
export function literalPattern(text: string): string {
  return Array.from(text, literal).join("");
}

function literal(character: string): string {
  if (/^[\p{L}\p{N} _'"!#%&,:;<=>@`~]$/u.test(character) && character < "\u0080") return character;
  return `\\u{${character.codePointAt(0)!.toString(16)}}`;
}

/** A character and what equals it when case is ignored, such as s, S and U+017F. */
function caseVariants(character: string): string[] {
  const variants = new Set([character, character.toLowerCase(), character.toUpperCase()]);
  for (const [letter, extra] of [
    ["s", "\u017f"],
    ["k", "\u212a"],
  ] as const) {
    if (variants.has(letter) || variants.has(extra))
      for (const it of [letter, letter.toUpperCase(), extra]) variants.add(it);
  }
  return [...variants].filter((variant) => Array.from(variant).length === 1);
}

interface Group {
  readonly start: number;
  readonly foldBefore: boolean;
  readonly atomic: boolean;
}

/** One pass over a pattern; `atom` is where the last quantifiable thing begins in `out`. */
class Translator {
  private at = 0;
  private out = "";
  private atom = -1;
  private fold = false;
  private captures = 0;
  private readonly groups: Group[] = [];

  constructor(
    private readonly pattern: string,
    private readonly where: string,
  ) {}

  run(): string {
    while (this.at < this.pattern.length) this.next();
    if (this.groups.length > 0) throw malformed("a group of the pattern is not closed", this.where);
    return this.out;
  }

  private refuse(what: string): never {
    throw unsupported(`${what} in the pattern ${JSON.stringify(this.pattern)}`, this.where);
  }

  /** The next code point, consumed. */
  private take(): string {
    if (this.at >= this.pattern.length) throw malformed("the pattern ends too early", this.where);
    const character = String.fromCodePoint(this.pattern.codePointAt(this.at)!);
    this.at += character.length;
    return character;
  }

  private skip(text: string): boolean {
    if (!this.pattern.startsWith(text, this.at)) return false;
    this.at += text.length;
    return true;
  }

  private emit(text: string): void {
    this.atom = this.out.length;
    this.out += text;
  }

  private next(): void {
    const character = this.take();
    if (character === "\\") this.escape();
    else if (character === "[") this.emit(this.characterClass());
    else if (character === "(") this.open();
    else if (character === ")") this.close();
    else if (character === "|") this.alternative();
    else if (character === ".") this.emit("[^\\n]");
    else if (character === "^") this.emit("(?<![^\\n])");
    else if (character === "$") this.emit("(?![^\\n])");
    else if ("*+?".includes(character)) this.quantify(character);
    else if (character === "{") this.interval();
    else this.emit(this.literal(character));
  }

  private alternative(): void {
    this.out += "|";
    this.atom = -1;
  }

  private literal(character: string): string {
    const variants = this.fold ? caseVariants(character) : [character];
    return variants.length === 1 ? literal(character) : `[${variants.map(literal).join("")}]`;
  }

  private quantify(quantifier: string): void {
    if (this.atom < 0) this.refuse("a quantifier without anything before it");
    if (this.skip("+")) {
      const body = this.out.slice(this.atom) + quantifier;
      this.out = this.out.slice(0, this.atom) + this.atomicGroup(body);
    } else {
      this.out += quantifier + (this.skip("?") ? "?" : "");
    }
    this.atom = -1;
  }

  private interval(): void {
    const match = /^(\d*)(,?)(\d*)\}/.exec(this.pattern.slice(this.at));
    if (match === null || (match[1] === "" && match[3] === "")) {
      this.emit(this.literal("{"));
      return;
    }
    if (this.atom < 0) this.refuse("a quantifier without anything before it");
    this.at += match[0].length;
    this.out += `{${match[1] === "" ? "0" : match[1]}${match[2]}${match[3]}}`;
    this.atom = -1;
    if (/^[+*?]/.test(this.pattern.slice(this.at))) this.refuse("a quantifier after an interval");
  }

  /** A group that is never backtracked into: a lookahead is not, and what it saw is then consumed. */
  private atomicGroup(body: string): string {
    const name = `a${this.captures++}`;
    return `(?:(?=(?<${name}>${body}))\\k<${name}>)`;
  }

  private open(): void {
    const group = { start: this.out.length, foldBefore: this.fold, atomic: false };
    this.atom = -1;
    if (this.skip("?i:")) {
      this.fold = true;
    } else if (this.skip("?>")) {
      this.groups.push({ ...group, atomic: true });
      return;
    } else {
      const prefix = ["?:", "?=", "?!", "?<=", "?<!"].find((it) => this.skip(it));
      if (prefix === undefined && this.pattern[this.at] === "?")
        this.refuse("a group with options or a name");
      this.out += `(${prefix ?? "?:"}`;
      this.groups.push(group);
      return;
    }
    this.out += "(?:";
    this.groups.push(group);
  }

  private close(): void {
    const group = this.groups.pop();
    if (group === undefined) throw malformed("the pattern closes a group that it did not open", this.where);
    if (group.atomic)
      this.out = this.out.slice(0, group.start) + this.atomicGroup(this.out.slice(group.start));
    else this.out += ")";
    this.fold = group.foldBefore;
    this.atom = group.start;
  }

  private escape(): void {
    const character = this.pattern[this.at] ?? "";
    const anchor = anchors.get(character);
    const members = memberEscapes.get(character.toLowerCase());
    if (character === "b" || character === "B") this.refuse("a word boundary");
    if (anchor === undefined && members === undefined) {
      const { text, point } = this.atomEscape();
      this.emit(point === null ? text : this.literal(point));
      return;
    }
    this.at++;
    const negation = character === character.toLowerCase() ? "" : "^";
    this.emit(anchor ?? `[${negation}${members}]`);
  }

  /** An escape that may also stand in a class: a set as `text`, or one code point as `point`. */
  private atomEscape(): { text: string; point: string | null } {
    const character = this.take();
    const set = setEscapes.get(character) ?? controlEscapes.get(character);
    if (set !== undefined) return { text: set, point: null };
    if (character === "p" || character === "P") return { text: this.property(character), point: null };
    if (character === "x" || character === "u") return { text: "", point: this.codePoint(character) };
    if (/[0-9A-Za-z]/.test(character)) return this.refuse(`the escape \\${character}`);
    return { text: "", point: character };
  }

  private property(kind: string): string {
    const match = /^\{(\^?)([A-Za-z_]+)\}/.exec(this.pattern.slice(this.at));
    if (match === null) return this.refuse("a property without a plain name");
    this.at += match[0].length;
    const negated = (kind === "P") !== (match[1] === "^");
    const name = match[2]!;
    const general = /^(?:[CLMNPSZ][a-z]?|Alphabetic|White_Space|Uppercase|Lowercase)$/.test(name);
    return `\\${negated ? "P" : "p"}{${general ? name : `Script=${name}`}}`;
  }

  private codePoint(kind: string): string {
    const rest = this.pattern.slice(this.at);
    const match = (kind === "x" ? /^(?:\{([0-9A-Fa-f]+)\}|([0-9A-Fa-f]{2}))/ : /^(?:([0-9A-Fa-f]{4}))/).exec(
      rest,
    );
    const value = Number.parseInt(match?.[1] ?? match?.[2] ?? "", 16);
    if (match === null || !(value <= 0x10ffff)) return this.refuse("a code point that is none");
    this.at += match[0].length;
    return String.fromCodePoint(value);
  }

  private characterClass(): string {
    let members = "";
    const negated = this.skip("^");
    while (!this.skip("]") || members === "") {
      if (members === "" && this.pattern[this.at - 1] === "]") this.refuse("an empty class");
      if (this.pattern.startsWith("&&", this.at)) this.refuse("an intersection of classes");
      members += this.member();
    }
    return `[${negated ? "^" : ""}${members}]`;
  }

  /** One member of a class: a set, a code point, or a range of them. */
  private member(): string {
    const first = this.memberAtom();
    if (first.point === null) return first.text;
    if (this.pattern[this.at] !== "-" || this.pattern[this.at + 1] === "]") {
      return (this.fold ? caseVariants(first.point) : [first.point]).map(literal).join("");
    }
    this.at++;
    const last = this.memberAtom();
    if (last.point === null) return this.refuse("a range that ends in a set");
    const range = `${literal(first.point)}-${literal(last.point)}`;
    return this.fold ? range + this.otherCase(first.point, last.point) : range;
  }

  private otherCase(first: string, last: string): string {
    const both = first + last;
    if (!/^[a-z]{2}$/.test(both) && !/^[A-Z]{2}$/.test(both)) {
      return this.refuse("a range without case, where case is ignored,");
    }
    const letters = Array.from({ length: last.charCodeAt(0) - first.charCodeAt(0) + 1 }, (_, index) =>
      String.fromCharCode(first.charCodeAt(0) + index),
    );
    return letters
      .flatMap((letter) =>
        caseVariants(letter)
          .filter((it) => it !== letter)
          .map(literal),
      )
      .join("");
  }

  private memberAtom(): { text: string; point: string | null } {
    const character = this.take();
    if (character === "[") return this.refuse("a class within a class");
    if (character !== "\\") return { text: "", point: character };
    const members = memberEscapes.get(this.pattern[this.at] ?? "");
    if (members === undefined) return this.atomEscape();
    this.at++;
    return { text: members, point: null };
  }
}
