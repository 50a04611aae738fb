"""A local web page that stylizes images, shows the progress, compares methods and keeps the results.

`impasto studio` starts it. Only `server` and `page/` depend on gradio; the other modules do not use the page.
"""
