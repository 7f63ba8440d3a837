/** What the page's scripts find beside one another: the libraries, which stand before them. */
declare const Plot: typeof import("@observablehq/plot");

type PageData = import("../data.js").PageData;
type LinearRow = import("../data.js").LinearRow;
type InputRow = import("../data.js").InputRow;
