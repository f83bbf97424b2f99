"""How the page of a drift check looks."""

from typing import Final

__all__ = ["STYLE"]

STYLE: Final = """
*{box-sizing:border-box}
body{margin:0;background:#f4f6f8;color:#1c2530;font:16px/1.5 system-ui,-apple-system,"Segoe UI",
Roboto,"Helvetica Neue",sans-serif}
main{max-width:1180px;margin:0 auto;padding:1.5rem}
header{background:#fff;border-left:8px solid #8894a3;padding:1rem 1.5rem;margin-bottom:1rem}
header.ok{border-color:#2f855a}header.alarm{border-color:#c2410c}
header h1{margin:.1rem 0;font-size:2rem;line-height:1.2}
header p{margin:0;color:#52606f}
section{background:#fff;padding:.8rem 1.5rem 1.2rem;margin-bottom:1rem}
h2{font-size:1.1rem;margin:.3rem 0 .6rem}
ul{margin:0;padding-left:1.2rem}
table{border-collapse:collapse;width:100%;font-size:.93rem}
th{text-align:left;font-weight:600;color:#52606f}
th,td{padding:.35rem 1rem .35rem 0;border-bottom:1px solid #e6eaee;vertical-align:top}
.number{font-variant-numeric:tabular-nums;white-space:nowrap}
td:first-child{white-space:nowrap}
td.alarm{color:#c2410c;font-weight:600}td.ok{color:#2f855a}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.3rem 1.5rem;margin:0}
dt{color:#52606f}dd{margin:0;font-variant-numeric:tabular-nums}
.note{color:#52606f;font-size:.9rem;max-width:60rem;margin:.7rem 0 0}
code{font-size:.95em;background:#eef1f4;padding:.1rem .3rem;border-radius:3px}
iframe{width:100%;height:88vh;border:1px solid #e6eaee;background:#fff}
"""
