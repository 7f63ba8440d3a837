import type { EmittedCall } from "../emit/emitter.js";
import type { ProjectionDivision } from "../emit/gpu/projection-divisions.js";
import type { Operand } from "../emit/operands.js";
import { loadTemplates } from "../emit/template.js";
import type { Argument, Kernel, Launch } from "../ir/program.js";

/** Renders kernels; calls with equal parameters share one. */
export class KernelTable {
  readonly kernels: Kernel[] = [];
  readonly divisions: (readonly ProjectionDivision[])[] = [];
  private readonly byContent = new Map<string, number>();
  private readonly symbols = new Set<string>();
  private readonly render: ReturnType<typeof loadTemplates>;

  constructor(dialect: string) {
    this.render = loadTemplates(dialect);
  }

  index(call: EmittedCall): number {
    const content = JSON.stringify([call.template, call.params]);
    const known = this.byContent.get(content);
    if (known !== undefined) return known;
    const symbol = this.unique(`gsic_${call.symbol}`);
    this.kernels.push({
      symbol,
      template: call.template,
      summary: call.params.summary,
      arguments: call.operands.map(({ name, type }) => ({ name, type })),
      launch: call.launch,
      source: this.render(call.template, { ...call.params, symbol }),
      ...(call.cores && { cores: call.cores }),
      ...(call.generic && { generic: call.generic }),
    });
    this.divisions.push(call.divisions);
    this.byContent.set(content, this.kernels.length - 1);
    return this.kernels.length - 1;
  }

  launch(call: EmittedCall, resolve: (operand: Operand) => Argument): Launch {
    const places = call.operands.map(({ operand }) => resolve(operand));
    return {
      kernel: this.index(call),
      arguments: places,
      ...(call.from !== undefined && { from: call.from }),
      ...(call.alone && { alone: true }),
    };
  }

  private unique(symbol: string): string {
    let candidate = symbol;
    for (let number = 2; this.symbols.has(candidate); number++) candidate = `${symbol}_${number}`;
    this.symbols.add(candidate);
    return candidate;
  }
}
