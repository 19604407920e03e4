"""Teams judged by models fitted without them."""
