import type { ValueId, VectorRef } from "../../ir/graph.js";
import type { WeightSource } from "../../ir/steps.js";
import { typeText } from "../../layout/shape.js";
import { type Access, type LinearRows, type Operand, type OperandSlot, Operands } from "../operands.js";

/** Collects the parameters of a GPU kernel, by name; the first is always `step`. */
export class DeviceOperands {
  private readonly operands = new Operands();

  get slots(): readonly OperandSlot[] {
    return this.operands.slots;
  }

  /** The C++ parameter list; weights are `const void *`, since matrices know their type. */
  get parameters(): string {
    return this.slots
      .map(({ name, type, operand }) => {
        const pointee =
          operand.kind === "step" ? "const gsic_step" : operand.kind === "weight" ? "const void" : type;
        return `${pointee} *${name}`;
      })
      .join(", ");
  }

  /** The names of the parameters, between commas. */
  get names(): string {
    return this.slots.map(({ name }) => name).join(", ");
  }

  add(
    name: string,
    type: string,
    operand: Operand,
    access: Access = "read",
    rows: LinearRows | null = null,
  ): string {
    this.operands.add(name, type, operand, access, rows);
    return name;
  }

  input(name: string, id: ValueId, type = "const float"): string {
    return this.add(name, type, { kind: "value", id });
  }

  output(name: string, id: ValueId, type = "float"): string {
    return this.add(name, type, { kind: "value", id }, "write");
  }

  weight(name: string, source: WeightSource, rows: LinearRows | null): string {
    return this.add(name, `const packed ${typeText(source)}`, { kind: "weight", source }, "read", rows);
  }

  vector(name: string, vector: VectorRef): string {
    return this.add(name, "const float", { kind: "vector", vector });
  }
}
