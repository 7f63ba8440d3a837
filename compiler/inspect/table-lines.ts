/** Rows under their headings; the first column, of names, is cut where the rest needs the room. */
export function tableLines(rows: readonly (readonly string[])[], columns: number): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const rest = widths.slice(1).reduce((sum, width) => sum + width + 2, 2);
  widths[0] = Math.min(widths[0]!, Math.max(columns - rest, 8));
  const line = (row: readonly string[]) =>
    `  ${row
      .map((cell, column) => {
        const width = widths[column]!;
        if (column > 0) return cell.padStart(width);
        return (cell.length <= width ? cell : `${cell.slice(0, width - 3)}...`).padEnd(width);
      })
      .join("  ")}`.trimEnd();
  const rule = line(widths.map((width) => "-".repeat(width)));
  return [line(rows[0]!), rule, ...rows.slice(1).map(line)];
}
