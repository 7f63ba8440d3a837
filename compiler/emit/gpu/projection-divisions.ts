import type { ProjectionShape } from "../../report/tuning.js";
import type { GpuKernelCall } from "../operands.js";
import type { Tier } from "../projection.js";

/** A product of a GPU kernel, and how it is divided: `splits` waves share a tile of four rows. */
export interface ProjectionDivision extends ProjectionShape {
  /** Null where no gate decides. */
  readonly tier: Tier;
  readonly splits: number;
}

/** A kernel that multiplies by matrices. */
type MultiplyingCall = Extract<GpuKernelCall, { params: { products: readonly unknown[] } }>;

const multiplies = (call: GpuKernelCall): call is MultiplyingCall => "products" in call.params;

/** The products of a kernel that are divided by `splitsOf`; none of kernels that do not multiply. */
export function projectionDivisions(call: GpuKernelCall): readonly ProjectionDivision[] {
  if (!multiplies(call)) return [];
  switch (call.template) {
    case "project":
      return call.params.products.map(({ type, out, d, tier, splits }) => ({
        type,
        out,
        d,
        matrices: 1,
        tier: tier as Tier,
        splits,
      }));
    case "glu":
      return call.params.products.map(({ gateType, upType, out, d, tier, splits }) => {
        const type = gateType === upType ? gateType : `${gateType}+${upType}`;
        return { type, out, d, matrices: 2, tier: tier as Tier, splits };
      });
    default:
      return call satisfies never;
  }
}
