namespace Plip.Evaluation;

/// <summary>The look of the report: fonts every system has, one column, colours as variables for light, dark and print.</summary>
internal static class Stylesheet
{
    /// <summary>Plain CSS; without ampersand and less-than sign, since the page is read as HTML and as XML.</summary>
    public const string Text = """
        :root {
          --paper: #fbfaf7; --card: #ffffff; --ink: #1c1e22; --soft: #5e636b; --faint: #8b9097; --rule: #e4e1d9; --track: #eeebe4;
          --good: #1f8a4c; --good-soft: #e3f3e9; --bad: #b4432f; --bad-soft: #f8e8e4; --accent: #2a5b8c;
          --h0: #2a5b8c; --h1: #c06a22; --h2: #3c8a57; --h3: #8a4f9e; --h4: #b0404f; --h5: #3d8f98;
          --serif: Charter, "Bitstream Charter", "Iowan Old Style", "Source Serif 4", Cambria, Georgia, "DejaVu Serif", serif;
          --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", "DejaVu Sans", sans-serif;
          --mono: ui-monospace, "SF Mono", "Cascadia Mono", Consolas, "DejaVu Sans Mono", monospace;
        }
        @media (prefers-color-scheme: dark) {
          :root {
            --paper: #15171b; --card: #1d2025; --ink: #e8e6e1; --soft: #a9adb4; --faint: #7d828a; --rule: #30343b; --track: #2a2e35;
            --good: #4fc07f; --good-soft: #1a3325; --bad: #e5806c; --bad-soft: #3a211c; --accent: #82b1e0;
            --h0: #6fa6dc; --h1: #e39a58; --h2: #6cc28a; --h3: #c08bd3; --h4: #e5808d; --h5: #6cc4cd;
          }
        }
        * { box-sizing: border-box; }
        html { -webkit-text-size-adjust: 100%; }
        body { margin: 0; padding: 0 28px 96px; background: var(--paper); color: var(--ink); font: 15px/1.55 var(--sans); }
        header.top, main { max-width: 1080px; margin: 0 auto; }
        header.top { padding: 64px 0 8px; }
        .date { margin: 0 0 10px; color: var(--faint); font-size: 13px; letter-spacing: .02em; }
        h1 { margin: 0; font: 600 42px/1.12 var(--serif); letter-spacing: -.015em; text-wrap: balance; }
        .summary { max-width: 68ch; margin: 18px 0 0; color: var(--soft); font: 18px/1.55 var(--serif); }
        h2 { margin: 0 0 18px; padding-top: 26px; border-top: 1px solid var(--rule); font: 600 24px/1.25 var(--serif); letter-spacing: -.01em; }
        h3 { margin: 0; font: 600 15px/1.3 var(--sans); }
        h4 { margin: 0 0 6px; font: 600 13px/1.3 var(--sans); }
        section { margin-top: 56px; }
        p { margin: 0 0 12px; }
        .rule { max-width: 82ch; margin-bottom: 22px; color: var(--soft); font-size: 14px; }
        .quiet { color: var(--faint); font-size: 13px; }
        .caption { margin: 0; font: 17px/1.45 var(--serif); }
        .caption u { text-decoration-color: var(--accent); text-decoration-thickness: 2px; text-underline-offset: 4px; }
        figure { margin: 0; }
        img { display: block; width: 100%; height: auto; }

        .cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(176px, 1fr)); gap: 14px; margin: 36px 0 0; }
        .card { padding: 18px 20px 16px; background: var(--card); border: 1px solid var(--rule); border-radius: 10px; }
        .card p { margin: 0; }
        .card-label { color: var(--soft); font-size: 13px; }
        .card .card-value { margin: 6px 0 4px; font: 600 38px/1.1 var(--serif); letter-spacing: -.02em; font-variant-numeric: lining-nums tabular-nums; }
        .unit { color: var(--faint); font-size: 19px; font-weight: 400; letter-spacing: 0; }
        .card-context { color: var(--faint); font-size: 12.5px; line-height: 1.45; text-wrap: balance; }
        nav { display: flex; flex-wrap: wrap; gap: 6px 22px; margin: 30px 0 0; font-size: 14px; }
        nav a { color: var(--accent); text-decoration: none; }
        nav a:hover { text-decoration: underline; text-underline-offset: 3px; }

        .wide { overflow-x: auto; }
        table { border-collapse: collapse; font-variant-numeric: lining-nums tabular-nums; }
        .figures { width: 100%; font-size: 14px; white-space: nowrap; }
        .figures th, .figures td { padding: 7px 9px; text-align: left; font-weight: 400; }
        .figures thead th { padding-bottom: 8px; border-bottom: 1px solid var(--ink); color: var(--soft); font-size: 12.5px; vertical-align: bottom; }
        .figures thead th:nth-child(n+2):nth-child(-n+7), .figures thead th:nth-child(9), .figures thead th:nth-child(10), .n { text-align: right; }
        .figures td.n { text-align: right; }
        .figures th:first-child { padding-left: 0; }
        .figures tbody tr { border-bottom: 1px solid var(--rule); }
        .figures tbody tr.first { border-top: 1px solid var(--faint); }
        .figures .model th, .figures .model td:nth-child(-n+7) { font-weight: 650; }
        .figures .rival { color: var(--soft); }
        .figures td.set { white-space: normal; min-width: 170px; line-height: 1.35; }
        .figures sup { margin-left: 3px; color: var(--faint); font-size: 10px; font-weight: 400; line-height: 0; }
        .figures td.code { font: 12.5px var(--mono); color: var(--soft); }
        .protocols { margin: 14px 0 8px; padding-left: 22px; max-width: 92ch; color: var(--soft); font-size: 13px; }

        article { break-inside: avoid; }
        .query { margin: 0 0 30px; }
        .query header { display: flex; align-items: baseline; gap: 14px; justify-content: space-between; margin-bottom: 10px; }
        .chip { flex: none; padding: 2px 10px; border-radius: 99px; background: var(--track); color: var(--soft); font-size: 12.5px; white-space: nowrap; }
        .chip.good { background: var(--good-soft); color: var(--good); }
        .chip.bad { background: var(--bad-soft); color: var(--bad); }
        .hits { display: grid; grid-template-columns: repeat(var(--columns), minmax(0, 1fr)); gap: 8px; }
        .hit img { border-radius: 5px; outline: 1px solid var(--rule); outline-offset: 0; }
        .hit.right img { outline: 3px solid var(--good); }
        .hit figcaption { margin-top: 6px; color: var(--faint); font-size: 12px; text-align: center; font-variant-numeric: tabular-nums; }
        .hit.right figcaption, .tick-mark { color: var(--good); font-weight: 600; }

        .fidelity { max-width: 92ch; margin: 0 0 26px; padding: 14px 18px; background: var(--card); border: 1px solid var(--rule); border-radius: 10px; }
        .fidelity p { margin: 0; }
        .fidelity strong { font: 600 20px/1.2 var(--serif); font-variant-numeric: lining-nums; }
        .swatches { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 10px 0 0; padding: 0; list-style: none; color: var(--soft); font-size: 13px; font-variant-numeric: tabular-nums; }
        .swatch { display: inline-block; width: 11px; height: 11px; margin-right: 6px; border-radius: 3px; box-shadow: 0 0 0 1px var(--faint); vertical-align: -1px; }
        .person { margin: 0 0 34px; }
        .person .caption { margin-bottom: 8px; }
        .strip { display: grid; grid-template-columns: repeat(var(--columns), minmax(0, 1fr)); gap: 12px; }
        .cell figcaption { margin-bottom: 5px; color: var(--soft); font-size: 12.5px; white-space: nowrap; overflow: hidden; }
        .cell img { border-radius: 5px; outline: 1px solid var(--rule); }
        .cell { position: relative; }
        .cell.start::after, .cell.end:nth-child(2):not(:nth-last-child(2))::after { content: ""; position: absolute; top: 3px; bottom: 0; border-left: 1px solid var(--faint); }
        .cell.start::after { left: -7px; }
        .cell.end:nth-child(2)::after { right: -7px; }

        .masked { display: flex; gap: 20px; margin: 0 0 18px; padding: 18px; background: var(--card); border: 1px solid var(--rule); border-radius: 10px; }
        .masked img { flex: none; width: 84px; align-self: flex-start; border-radius: 5px; outline: 1px solid var(--rule); }
        .masked-body { flex: 1; min-width: 0; }
        .mask { padding: 0 7px 1px; border: 1.5px solid; border-radius: 6px; }
        .mask.good { color: var(--good); background: var(--good-soft); }
        .mask.bad { color: var(--bad); background: var(--bad-soft); }
        h4.good { color: var(--good); }
        h4.bad { color: var(--bad); }
        .guesses { display: grid; grid-template-columns: repeat(auto-fill, minmax(205px, 1fr)); gap: 16px 28px; margin-top: 16px; }
        .bar { display: grid; grid-template-columns: 74px 1fr 34px; align-items: center; gap: 8px; color: var(--soft); font-size: 12.5px; line-height: 1.6; }
        .bar .word { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
        .bar .number { text-align: right; font-variant-numeric: tabular-nums; }
        .track { height: 8px; border-radius: 4px; background: var(--track); overflow: hidden; }
        .fill { display: block; height: 100%; min-width: 1px; background: var(--faint); }
        .bar.true { color: var(--good); font-weight: 600; }
        .bar.true .fill { background: var(--good); }

        .charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 34px 36px; }
        .chart { break-inside: avoid; }
        .chart-head { display: flex; justify-content: space-between; align-items: baseline; margin-bottom: 4px; }
        .last { color: var(--c); font-size: 13px; font-weight: 600; font-variant-numeric: tabular-nums; }
        .hue0 { --c: var(--h0); } .hue1 { --c: var(--h1); } .hue2 { --c: var(--h2); } .hue3 { --c: var(--h3); } .hue4 { --c: var(--h4); } .hue5 { --c: var(--h5); }
        .chart svg { display: block; width: 100%; height: auto; overflow: visible; font-family: var(--sans); }
        .chart text { font-size: 11px; fill: var(--faint); font-variant-numeric: tabular-nums; }
        .chart .end { text-anchor: end; }
        .chart .middle { text-anchor: middle; }
        .chart .grid { stroke: var(--rule); }
        .chart .axis, .chart .mark { stroke: var(--faint); }
        .chart .level { stroke: var(--soft); stroke-dasharray: 5 4; }
        .chart .level-label { fill: var(--soft); paint-order: stroke; stroke: var(--paper); stroke-width: 4px; stroke-linejoin: round; }
        .chart .raw { fill: none; stroke: var(--c); stroke-width: 1; opacity: .26; }
        .chart .line { fill: none; stroke: var(--c); stroke-width: 2.2; stroke-linejoin: round; stroke-linecap: round; }
        .chart .dot { fill: var(--c); stroke: var(--paper); stroke-width: 1.2; }
        figcaption { color: var(--faint); font-size: 12.5px; }

        .stack { display: flex; height: 18px; margin-bottom: 16px; border-radius: 6px; overflow: hidden; background: var(--track); }
        .stack span { background: var(--c); }
        .swatch[class*="hue"] { background: var(--c); }
        .phases { font-size: 14px; }
        .phases th, .phases td { padding: 4px 26px 4px 0; text-align: left; font-weight: 400; }
        .phases td.n { text-align: right; }
        .phases .sum th, .phases .sum td { border-top: 1px solid var(--rule); font-weight: 600; }
        .values { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 0 36px; margin: 0; font-size: 14px; }
        .values div { display: flex; justify-content: space-between; gap: 18px; padding: 6px 0; border-bottom: 1px solid var(--rule); }
        .values dt { color: var(--soft); }
        .values dd { margin: 0; text-align: right; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
        .values.code dt, .values.code dd { font: 12.5px/1.6 var(--mono); }
        .notes { max-width: 82ch; margin: 0; padding-left: 20px; color: var(--soft); }
        .notes li { margin-bottom: 8px; }

        @media screen and (max-width: 720px) {
          body { padding: 0 16px 64px; }
          h1 { font-size: 31px; }
          header.top { padding-top: 36px; }
          .hits, .strip { grid-template-columns: repeat(5, minmax(0, 1fr)); }
          .query header { display: block; }
          .masked { display: block; }
          .masked img { margin-bottom: 12px; }
        }
        @media print {
          @page { size: A4; margin: 14mm; }
          :root {
            --paper: #fff; --card: #fff; --ink: #000; --soft: #444; --faint: #666; --rule: #ccc; --track: #e8e8e8;
            --good: #177a41; --good-soft: #e3f3e9; --bad: #a63a27; --bad-soft: #f8e8e4; --accent: #24507c;
            --h0: #2a5b8c; --h1: #c06a22; --h2: #3c8a57; --h3: #8a4f9e; --h4: #b0404f; --h5: #3d8f98;
          }
          * { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
          body { padding: 0; font-size: 11pt; }
          header.top { padding-top: 0; }
          nav { display: none; }
          section { margin-top: 28px; }
          h2 { break-after: avoid; }
          .wide { overflow: visible; }
          .cards { grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); gap: 8px; }
          .card { padding: 12px 14px; }
          .card .card-value { font-size: 26px; }
          .figures, .figures thead th, .figures td.code { font-size: 7pt; }
          .figures { white-space: normal; }
          .figures th, .figures td { padding: 4px 4px; }
          .figures td.set { min-width: 90px; }
          .caption { font-size: 11pt; }
        }

        """;
}
