"""Small models that the project trains itself, on data that it writes itself.

Each is one command that runs for minutes on two cores and writes weights and figures into the server's
package: `python -m training.sentiment`, `python -m training.ner`, `python -m training.number_words`,
`python -m training.digits` (which learns from digits that people wrote). Not part of what is installed.
"""
